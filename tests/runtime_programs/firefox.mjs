// What tokentail.js and the page do in Firefox, driven over WebDriver BiDi: `node firefox.mjs URL PROGRAM`. Prints JSON.

import puppeteer from "puppeteer-core";

import { tell } from "./tell.mjs";

const [url, executablePath] = process.argv.slice(2);
const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
try {
  const page = await browser.newPage();
  const body = JSON.stringify({ prompt: "Hello", model: "demo?tokens=60&tps=20" });
  const headers = { "Content-Type": "application/json" };
  const { id } = await (await fetch(`${url}/v1/jobs`, { method: "POST", headers, body })).json();
  await page.goto(`${url}/?job=${id}`);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await page.reload(); // in mid-answer
  const text = await (async () => {
    for (;;) {
      const job = await (await fetch(`${url}/v1/jobs/${id}`)).json();
      if (job.status === "completed") return (await fetch(`${url}/v1/jobs/${id}/text`)).text();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  const told = await page.evaluate(`import("/tokentail.js").then(({ Tokentail }) => (${tell})(Tokentail, ""))`);
  const bare = await page.evaluate(`new Promise((resolve) => {
    const source = new EventSource("/stream?query=hi&model=demo%3Ftokens%3D20%26tps%3D20");
    let text = "";
    source.onmessage = ({ data }) => {
      if (data !== "[DONE]") return (text += data);
      source.close();
      resolve(text);
    };
  })`);
  const shown = await page.evaluate("document.body.textContent");
  const words = (all) => all.replace(/\s+/g, "");
  Object.assign(told, { page: words(shown).includes(words(text)), eventSource: bare.startsWith("This is the"), version: await browser.version() });
  console.log(JSON.stringify(told));
} finally {
  await browser.close();
}
process.exit(0);
