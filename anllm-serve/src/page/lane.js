// One conversation, or one text, under one policy: its tokens, and what its cache keeps of them.

/** A segment's hue: neighbours are far apart (the golden angle). */
export const hue = (segment) => Math.round((40 + segment * 137.508) % 360);

const size = (bytes) => {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
};

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

export class Lane {
  constructor(policy, place, messages) {
    this.policy = policy;
    this.place = place;
    this.messages = [...messages];
    /** What the server told of each token, and the token's place on the page. */
    this.rows = [];
    this.tokens = [];
    this.root = element("article", `lane ${place}`);
    const title = element("h2", "", `cache ${policy}`);
    this.said = element("div", "said");
    this.said.setAttribute("role", "log");
    this.said.setAttribute("aria-label", `Text under the cache policy ${policy}`);
    this.said.tabIndex = 0;
    this.numbers = element("p", "numbers quiet");
    this.said.append(element("p", "empty", "What the model reads and writes will stand here, token by token."));
    this.root.append(title, this.said, this.numbers);
  }

  /** What to ask for, and where. */
  request(kind, text, system, settings) {
    const common = { ...settings, cache: this.policy, stream: true, stream_options: { include_usage: true }, trace: true };
    if (kind === "complete") return { path: "/v1/completions", body: { ...common, prompt: text } };
    this.messages.push({ role: "user", content: text });
    const first = system ? [{ role: "system", content: system }] : [];
    return { path: "/v1/chat/completions", body: { ...common, messages: [...first, ...this.messages] } };
  }

  begin(kind) {
    this.kind = kind;
    this.answer = "";
    this.read = false;
    this.began = performance.now();
    this.made = 0;
    this.usage = null;
  }

  /** A chunk of the answer. */
  hear(chunk) {
    const choice = chunk.choices[0];
    if (chunk.usage) this.usage = chunk.usage;
    if (choice) {
      this.answer += choice.delta?.content ?? choice.text ?? "";
      if (choice.trace && !this.read) {
        this.readPrompt(choice.trace);
      } else if (choice.trace) {
        this.first ??= performance.now();
        this.made += choice.trace.length;
        choice.trace.forEach((row) => this.enter(row));
      }
    }
    this.account();
  }

  /** The prompt's tokens. A conversation goes on with those that are there. */
  readPrompt(rows) {
    this.read = true;
    this.first = null;
    let same = 0;
    while (same < this.rows.length && same < rows.length && this.rows[same].id === rows[same].id) same += 1;
    if (same < this.rows.length) {
      // The last token of an answer may be one that the conversation writes otherwise, or not at all.
      const lost = this.rows.length - same;
      if (lost > 1 || same === 0) same = 0;
      this.forget(same);
    }
    if (same === 0) this.said.replaceChildren();
    this.turn = element("div", "turn user");
    this.said.append(this.turn);
    rows.slice(same).forEach((row) => this.enter(row));
    this.turn = element("div", "turn model");
    this.said.append(this.turn);
  }

  /** Forgets the tokens from a place on. */
  forget(from) {
    this.tokens.splice(from).forEach((token) => token.remove());
    const gone = this.rows.splice(from);
    // What those had dropped is there again.
    gone.flatMap((row) => row.dropped).forEach((step) => this.tokens[step]?.classList.remove("dropped"));
  }

  /** One token. */
  enter(row) {
    const special = /^<[^ ]+>$/.test(row.text);
    const token = element("span", "token", row.text);
    token.classList.toggle("anchor", row.anchor);
    token.classList.toggle("special", special);
    token.style.setProperty("--hue", hue(row.segment));
    token.title = `token ${row.step}, segment ${row.segment}${row.anchor ? ", anchor" : ""}; ${row.held} entries kept`;
    const below = this.said.scrollHeight - this.said.scrollTop - this.said.clientHeight < 60;
    this.turn.append(token);
    this.rows.push(row);
    this.tokens.push(token);
    row.dropped.forEach((step) => this.tokens[step]?.classList.add("dropped"));
    if (below) this.said.scrollTop = this.said.scrollHeight;
  }

  account() {
    const last = this.rows.at(-1);
    if (!last) return;
    const kv = this.usage?.kv ?? { seen: last.step + 1, kept: last.held, bytes: last.bytes, full_bytes: last.full_bytes };
    const saved = (100 * (1 - kv.kept / Math.max(1, kv.seen))).toFixed(1);
    const parts = [`${kv.seen} seen, ${kv.kept} kept`, `${size(kv.bytes)} of ${size(kv.full_bytes)} (${saved} % saved)`];
    const cached = this.usage?.prompt_tokens_details?.cached_tokens;
    if (cached) parts.push(`${cached} read before`);
    if (this.made > 1) parts.push(`${(1e3 * (this.made - 1) / Math.max(1, performance.now() - this.first)).toFixed(0)} tokens/s`);
    this.numbers.textContent = parts.join(" · ");
  }

  end() {
    if (this.kind === "chat" && this.messages.at(-1)?.role === "user") {
      this.messages.push({ role: "assistant", content: this.answer });
    }
  }
}
