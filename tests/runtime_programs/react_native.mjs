// React Native's fetch in Node: `fetch` is whatwg-fetch, as React Native has it, over a small XMLHttpRequest. A response
// then has no `body` and arrives whole; and TextDecoder, crypto, and much of URL are not there.

import http from "node:http";

class XMLHttpRequest {
  readyState = 0;
  status = 0;
  statusText = "";
  responseText = "";
  #headers = {};
  #receivedHeaders = "";
  #request;

  open(method, url) {
    [this.method, this.responseURL] = [method, url];
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  getAllResponseHeaders() {
    return this.#receivedHeaders;
  }

  send(body) {
    this.#request = http.request(this.responseURL, { method: this.method, headers: this.#headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", () => this.onerror?.());
      response.on("end", () => {
        [this.status, this.statusText] = [response.statusCode, response.statusMessage];
        this.#receivedHeaders = Object.entries(response.headers).map(([name, value]) => `${name}: ${value}`).join("\r\n");
        this.responseText = this.response = Buffer.concat(parts).toString();
        this.readyState = 4;
        this.onload?.();
      });
    });
    this.#request.on("error", () => this.onerror?.());
    this.#request.end(body);
  }

  abort() {
    this.#request?.destroy();
    this.onabort?.();
  }
}

const { fetch, Headers, Request, Response } = await (async () => {
  globalThis.XMLHttpRequest = XMLHttpRequest;
  return import("whatwg-fetch");
})();
const { WebSocket } = await import("ws"); // Node's own needs what is taken away here
const without = ["TextDecoder", "TextEncoder", "crypto", "ReadableStream", "EventSource", "Blob", "FormData"];
for (const name of without) Object.defineProperty(globalThis, name, { value: undefined, configurable: true });
Object.assign(globalThis, { fetch, Headers, Request, Response, WebSocket });
await import("./follow.mjs");
