// The page of `anllm serve`, driven in a headless browser: a chat is sent, tokens stream, anchors are marked and dropped
// entries fade, the chart moves, policies are switched and compared, errors are shown, the keyboard is enough.
//
//     npm install playwright-core
//     anllm serve --port 8080 &
//     node scripts/page.mjs http://127.0.0.1:8080 [FOLDER FOR PICTURES] [PATH OF CHROMIUM]
//
// Prints what it saw as JSON; exit code 1 where something is missing.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";

// From the folder it is run in, where the package is installed.
const { chromium } = createRequire(`${process.cwd()}/`)("playwright-core");

const [url, pictures, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
if (pictures) mkdirSync(pictures, { recursive: true });
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: flags });
const seen = {};
const failures = [];

function check(name, value, ok = Boolean(value)) {
  seen[name] = value;
  if (!ok) failures.push(name);
}

async function open(options) {
  const page = await (await browser.newContext(options)).newPage();
  page.on("console", (message) => message.type() === "error" && failures.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => failures.push(`page: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) failures.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("model").textContent.includes("context"));
  return page;
}

async function picture(page, name) {
  if (!pictures) return;
  // What was dropped has faded.
  await page.waitForTimeout(800);
  await page.screenshot({ path: `${pictures}/${name}.png` });
}
const idle = (page) => page.waitForFunction(() => document.getElementById("stop").hidden, null, { timeout: 60_000 });
const count = (page, selector) => page.locator(selector).count();
const points = (page) =>
  page.evaluate(() => [...document.querySelectorAll("#chart .line")].map((line) => line.getAttribute("points").split(" ").length));

async function more(page, values) {
  await page.evaluate(() => (document.querySelector("details").open = true));
  for (const [id, value] of Object.entries(values)) await page.fill(`#${id}`, value);
}

// A chat by keyboard alone, under the model's own policy.
let page = await open({ viewport: { width: 1200, height: 760 }, colorScheme: "light" });
check("model", await page.textContent("#model"));
await more(page, { tokens: "150", seed: "6", temperature: "0.6" });
await page.focus("#text");
await page.keyboard.type("Once upon a time, there was a little boy named Tim. He had a red ball. One day");
// A fast model is done before anybody has looked twice: the page itself counts.
await page.evaluate(() => {
  window.counts = new Set();
  const look = () => window.counts.add(document.querySelectorAll(".lane .token").length);
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
});
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.querySelectorAll(".lane .token").length > 30);
await idle(page);
const counts = await page.evaluate(() => [...window.counts].sort((a, b) => a - b));
check("tokens on the page, one time after another", counts, counts.length > 1);
check("all of them", await count(page, ".lane .token"), counts.at(-1) === (await count(page, ".lane .token")));
check("anchors", await count(page, ".lane .token.anchor"));
check("dropped", await count(page, ".lane .token.dropped"));
check("segments", await page.evaluate(() => new Set([...document.querySelectorAll(".lane .token")].map((t) => t.style.getPropertyValue("--hue"))).size));
check("chart", await points(page), (await points(page))[0] > 100);
check("account", await page.textContent(".lane .numbers"));
check("focus is back", await page.evaluate(() => document.activeElement.id), (await page.evaluate(() => document.activeElement.id)) === "text");
await picture(page, "chat");

// The next turn goes on from what the cache holds.
const before = await count(page, ".lane .token");
await page.fill("#text", "Then his mom came.");
await page.click("#send");
await idle(page);
check("turns", await count(page, ".turn"), (await count(page, ".turn")) === 4);
check("second account", await page.textContent(".lane .numbers"), (await page.textContent(".lane .numbers")).includes("read before"));
check("tokens go on", (await count(page, ".lane .token")) > before);

// Another policy beside full attention.
await page.selectOption("#policy", "sink:4+60");
await page.check("#compare");
await page.fill("#text", "The end came soon.");
await page.click("#send");
await idle(page);
check("lanes", await page.locator(".lane h2").allTextContents(), (await count(page, ".lane")) === 2);
check("two lines", await points(page), (await points(page)).length === 2);
check("accounts", await page.locator(".lane .numbers").allTextContents());
await picture(page, "beside");

// Completion, with a policy that is written, and one that is wrong.
await page.uncheck("#compare");
await page.check("input[value=complete]");
await page.selectOption("#policy", "");
await page.fill("#other", "anchor:last=2");
await page.fill("#text", "Lily saw a cat. The cat was big. It had a hat. The hat");
await page.click("#send");
await idle(page);
check("completion", await page.textContent(".lane .numbers"));
check("its policy", await page.textContent(".lane h2"), (await page.textContent(".lane h2")).includes("anchor:last=2"));
await page.fill("#other", "quantum");
await page.click("#send");
await page.waitForSelector("#trouble:not([hidden])");
check("trouble", await page.textContent("#trouble"), (await page.textContent("#trouble")).includes("not a cache policy"));
// The browser reports every 400 on the console.
failures.splice(0, failures.length, ...failures.filter((failure) => !failure.includes("status of 400")));

// Escape stops an answer.
await page.fill("#other", "anchor");
await more(page, { tokens: "400" });
await page.fill("#text", "Once upon a time");
await page.click("#send");
await page.waitForFunction(() => document.querySelectorAll(".lane .token").length > 8);
await page.keyboard.press("Escape");
await idle(page);
check("stopped", await count(page, ".lane .token"), (await page.locator("#send").isVisible()));
await page.context().close();

// A phone, in the dark.
page = await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark", deviceScaleFactor: 1, hasTouch: true, isMobile: true });
await more(page, { tokens: "80", seed: "3", temperature: "0.6" });
await page.evaluate(() => (document.querySelector("details").open = false));
await page.fill("#text", "Once upon a time, there was a small dog. He was sad. One day");
await page.tap("#send");
await idle(page);
check("phone", await page.textContent(".lane .numbers"));
check("nothing is wider than the phone", await page.evaluate(() => document.documentElement.scrollWidth), (await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
await picture(page, "phone");
await browser.close();

console.log(JSON.stringify({ ...seen, failures }, null, 1));
process.exit(failures.length ? 1 : 0);
