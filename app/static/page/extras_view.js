// The view of an answer's extras: sources as links, pictures of a bounded size, code and results, notes. All of it is
// made of text nodes: an address or a name of the model's never becomes markup.

import { size } from "./format.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MOST_PICTURE = 4 << 20; // characters of base64; a larger picture is named, not shown
const KINDS = { image: "Picture", audio: "Audio", video: "Video", file: "File" };

/** Fill the box with these extras. */
export function showExtras(box, extras) {
  const sources = extras.filter((extra) => extra.type === "citation");
  const skipped = extras.filter((extra) => extra.type === "skipped");
  const shown = extras.filter((extra) => !sources.includes(extra) && !skipped.includes(extra)).map(view);
  if (sources.length) shown.push(sourceList(sources));
  if (skipped.length) shown.push(skippedNote(skipped));
  box.replaceChildren(...shown);
}

function view(extra) {
  if (extra.type === "media") return mediaView(extra);
  if (extra.type === "code") return section("The provider runs code", extra.language, extra.text);
  if (extra.type === "tool_result") return section(extra.is_error ? "Error of" : "Result of", extra.name, extra.output);
  return section("The provider uses its tool", extra.name, extra.arguments);
}

function section(words, name, written) {
  const box = make("section", "tool-call");
  box.setAttribute("aria-label", `${words} ${name}`);
  const head = make("p");
  head.append(`${words} `, make("strong", "tool-name", name));
  const text = make("pre");
  text.tabIndex = 0;
  text.setAttribute("role", "region");
  text.setAttribute("aria-label", `${words} ${name}, text`);
  text.append(make("code", "", written));
  box.append(head, text);
  return box;
}

function mediaView({ kind, media_type: type, data, url, pieces }) {
  const box = make("figure", "media");
  const words = [KINDS[kind] ?? "File", type, data ? size(data.length * 0.75) : ""].filter(Boolean).join(", ");
  if (data && pieces === 1 && PICTURES.has(type) && data.length <= MOST_PICTURE) {
    const picture = make("img");
    picture.alt = "Picture of the model";
    picture.src = `data:${type};base64,${data}`;
    box.append(picture);
  }
  const caption = make("figcaption", "faint");
  caption.append(url ? link(url, words) : words);
  box.append(caption);
  return box;
}

function sourceList(sources) {
  const box = make("section", "sources");
  box.setAttribute("aria-label", "Sources");
  const list = make("ol");
  const known = new Set();
  for (const { url, title, text } of sources) {
    const key = url || `${title} ${text}`;
    if (known.has(key)) continue;
    known.add(key);
    const item = make("li");
    item.append(link(url, title || url || text || "a source without a name"));
    list.append(item);
  }
  box.append(make("p", "", "Sources"), list);
  return box;
}

function skippedNote(skipped) {
  const names = skipped.map(({ provider_type: type, bytes }) => `${type} (${size(bytes)})`);
  return make("p", "faint skipped", `Not shown here, because the log has no form for it: ${names.join(", ")}`);
}

/** A link that leaves this site safely; plain words where the address is not one of the web. */
function link(url, words) {
  if (!/^https?:\/\//i.test(url ?? "")) return make("span", "", words);
  const found = make("a", "", words);
  Object.assign(found, { href: url, title: url, target: "_blank", rel: "noopener noreferrer nofollow" });
  return found;
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
