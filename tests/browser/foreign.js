// Every way in which a page can make a browser send a request to another site without permission, and each result.
async ([site, job]) => {
  const outcomes = [];
  const attempt = async (path, options) => {
    try {
      const answer = await fetch(site + path, { credentials: "include", ...options });
      outcomes.push(answer.type === "opaque" ? "cannot be read" : await answer.text());
    } catch {
      outcomes.push("was refused");
    }
  };
  const body = '{"prompt": "theirs"}';
  const json = { "Content-Type": "application/json" };
  await attempt("/v1/jobs", { method: "POST", mode: "no-cors", body });
  await attempt("/v1/jobs", { method: "POST", headers: json, body });
  await attempt(`${job}/cancel`, { method: "POST", mode: "no-cors" });
  await attempt("/stream?query=theirs", { mode: "no-cors" });
  await attempt(`${job}/tokens`, {});
  await attempt(`${job}/text`, {});
  const image = new Image();
  const loaded = new Promise((over) => { image.onload = image.onerror = over; });
  image.src = `${site}/stream?query=theirs`;
  await loaded;
  return outcomes;
}
