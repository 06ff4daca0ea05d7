// The page's controls: what is asked for, and of whom. Lanes show it, the chart draws it.

import { about, ask } from "./api.js";
import { Chart } from "./chart.js";
import { Lane, hue } from "./lane.js";

const $ = (id) => document.getElementById(id);
const chart = new Chart($("chart"), $("chart-says"), $("legend"));
let lanes = [];
let model = null;
let running = null;

const kind = () => document.querySelector("input[name=kind]:checked").value;
const policy = () => $("policy").value || $("other").value.trim();

/** Lanes for the policies that are asked for; those that are there already go on. */
function arrange() {
  const wanted = $("compare").checked && policy() !== "full" ? [policy(), "full"] : [policy()];
  if (lanes.length === wanted.length && lanes.every((lane, i) => lane.policy === wanted[i])) return;
  // Another policy starts anew from what was said: caches of two policies have nothing in common.
  const said = lanes[0]?.messages ?? [];
  lanes.forEach((lane) => lane.root.remove());
  lanes = wanted.map((policy, i) => new Lane(policy, i === 0 ? "first" : "second", said));
  $("lanes").append(...lanes.map((lane) => lane.root));
  draw();
}

const draw = () => chart.draw(lanes, model?.bytes_per_entry ?? 0);

function trouble(message) {
  $("trouble").textContent = message;
  $("trouble").hidden = !message;
}

function busy(now) {
  $("send").hidden = now;
  $("stop").hidden = !now;
  for (const control of [$("policy"), $("other"), $("compare"), $("new")]) control.disabled = now;
  document.querySelectorAll("input[name=kind]").forEach((radio) => (radio.disabled = now));
}

function settings(seed) {
  const number = (id) => ($(id).value === "" ? undefined : Number($(id).value));
  return { model: model.id, max_tokens: number("tokens"), temperature: number("temperature"), seed };
}

async function send() {
  const text = $("text").value;
  if (running || !text.trim()) return;
  trouble("");
  try {
    if (!model) await start();
  } catch (error) {
    return trouble(error.message);
  }
  arrange();
  busy(true);
  running = new AbortController();
  // Lanes draw alike, so that what differs is the cache.
  const seed = $("seed").value === "" ? Math.floor(Math.random() * 2 ** 31) : Number($("seed").value);
  const asked = settings(seed);
  const each = lanes.map(async (lane) => {
    const request = lane.request(kind(), text, $("system").value.trim(), asked);
    lane.begin(kind());
    await ask(request.path, request.body, $("key").value, running.signal, (chunk) => {
      lane.hear(chunk);
      draw();
    });
    lane.end();
  });
  if (kind() === "chat") $("text").value = "";
  const ended = await Promise.allSettled(each);
  const failed = ended.find((end) => end.status === "rejected" && end.reason.name !== "AbortError");
  if (failed) trouble(failed.reason.message);
  if (ended.some((end) => end.status === "rejected")) lanes.forEach((lane) => lane.end());
  running = null;
  busy(false);
  draw();
  $("text").focus();
}

function anew() {
  lanes.forEach((lane) => lane.root.remove());
  lanes = [];
  arrange();
  trouble("");
  $("text").focus();
}

/** Learns which model this is. */
async function start() {
  model = await about($("key").value);
  $("model").textContent = `${model.id} · anchors ${model.anchors} · context ${model.max_model_len} tokens`;
  const anchored = model.anchors !== "none";
  for (const option of $("policy").options) {
    if (/^(anchor|sepllm)/.test(option.value)) option.disabled = !anchored;
  }
  const own = [...$("policy").options].find((option) => option.value === model.cache);
  if (own && !start.chosen) $("policy").value = own.value;
  start.chosen = true;
  arrange();
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
$("stop").addEventListener("click", () => running?.abort());
$("new").addEventListener("click", anew);
$("compare").addEventListener("change", arrange);
$("policy").addEventListener("change", () => {
  start.chosen = true;
  $("other-label").hidden = $("policy").value !== "";
  arrange();
});
$("other").addEventListener("change", arrange);
document.querySelectorAll("input[name=kind]").forEach((radio) => radio.addEventListener("change", anew));
$("key").addEventListener("change", () => start().then(() => trouble(""), (error) => trouble(error.message)));

document.querySelectorAll("[data-key]").forEach((token) => token.style.setProperty("--hue", hue(Number(token.dataset.key))));
arrange();
start().catch((error) => {
  $("model").textContent = "";
  trouble(error.message);
});
