import { ChatChunks } from "./chat_chunks.js";
import { requestMessages } from "./chat_messages.js";
import { Tokentail } from "./client.js";
import { chunksOfParts } from "./earlier_parts.js";
import { abortError } from "./errors.js";

/**
 * A transport for the AI SDK's `useChat`. Each answer is a job, whose id is kept until all of the answer was read. An abort
 * only stops reading, because `useChat` aborts whenever its component leaves the page; `cancel` stops the job.
 */
export class TokentailChatTransport {
  resumeStreamIsReplay = true; // a resumed stream begins at the answer's beginning
  #tokentail;
  #request;
  #follow;
  #jobs;
  #submitting = new Map(); // chat → the submission that is on its way

  constructor({ request = {}, tokentail, follow = {}, jobs, ...connection } = {}) {
    this.#tokentail = tokentail ?? new Tokentail(connection);
    this.#request = request;
    this.#follow = follow;
    this.#jobs = new KeptJobs(jobs ?? pageStorage());
  }

  /** Submit the chat's messages; resolves to the stream of the answer's chunks. */
  async sendMessages({ chatId, messageId: meantId, messages, body, abortSignal }) {
    const request = { ...this.#request, ...body, messages: requestMessages(messages) };
    const meant = messages.find(({ id }) => id === meantId) ?? messages.at(-1);
    const submitting = this.#submit(chatId, request, meant);
    const { job, messageId } = await untilAborted(submitting, abortSignal);
    return this.#stream(chatId, { job, messageId, parts: [] }, abortSignal);
  }

  /** The chat's answer from its beginning; null if the chat has none that was not read to its end. */
  async reconnectToStream({ chatId, abortSignal }) {
    const kept = this.#jobs.get(chatId);
    if (!kept) return null;
    try {
      await this.#tokentail.job(kept.job, { signal: abortSignal });
    } catch (error) {
      if (error.status !== 404 && error.status !== 410) throw error;
      this.#jobs.remove(chatId, kept.job);
      return null;
    }
    return this.#stream(chatId, kept, abortSignal);
  }

  /** Stop the chat's job, also one that is just being submitted. */
  async cancel(chatId, options) {
    await this.#submitting.get(chatId)?.catch(() => {}); // `sendMessages` has thrown it
    const kept = this.#jobs.get(chatId);
    if (!kept) return;
    await this.#tokentail.cancel(kept.job, options);
    this.#jobs.remove(chatId, kept.job);
  }

  /** Submit, whatever becomes of the reader, and keep the job. The answer continues a message of the assistant's. */
  #submit(chatId, request, meant) {
    const submitting = this.#tokentail.submit(request).then(({ id }) => {
      const isContinued = meant?.role === "assistant";
      const kept = { job: id, messageId: isContinued ? meant.id : id, parts: isContinued ? meant.parts : [] };
      this.#jobs.set(chatId, kept);
      return kept;
    });
    const ended = () => this.#submitting.get(chatId) === submitting && this.#submitting.delete(chatId);
    this.#submitting.set(chatId, submitting);
    submitting.then(ended, ended);
    return submitting;
  }

  #stream(chatId, kept, signal) {
    const reading = new AbortController();
    const abort = () => reading.abort(signal.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    const chunks = this.#chunks(chatId, kept, reading.signal);
    const end = () => signal?.removeEventListener("abort", abort);
    return new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (!done) return controller.enqueue(value);
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel() {
        end();
        reading.abort();
      },
    });
  }

  async *#chunks(chatId, { job, messageId, parts }, signal) {
    const chunks = new ChatChunks(job);
    yield* chunks.opening(messageId, chunksOfParts(parts));
    for await (const step of this.#tokentail.follow(job, { ...this.#follow, events: true, signal })) {
      yield* chunks.of(step);
      if (step.done) this.#jobs.remove(chatId, job);
    }
  }
}

/**
 * The jobs of chats whose answers were not read to their end, by chat, in a Storage: the id, or where an answer continues a
 * message that message, too.
 */
class KeptJobs {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  get(chatId) {
    const item = this.#storage.getItem(nameOf(chatId));
    return item?.startsWith("{") ? JSON.parse(item) : item && { job: item, messageId: item, parts: [] };
  }

  set(chatId, kept) {
    try {
      this.#storage.setItem(nameOf(chatId), kept.messageId === kept.job ? kept.job : JSON.stringify(kept));
    } catch {
      return; // it is full: this answer cannot be resumed by another page
    }
  }

  /** Remove the chat's job, unless it has a newer one. */
  remove(chatId, job) {
    if (this.get(chatId)?.job === job) this.#storage.removeItem(nameOf(chatId));
  }
}

function nameOf(chatId) {
  return `tokentail:chat:${chatId}`;
}

/** The page's storage, which survives a reload; where there is none, a memory. */
function pageStorage() {
  try {
    if (globalThis.document && globalThis.localStorage) return globalThis.localStorage;
  } catch {
    // A page without an origin of its own may not use it.
  }
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => items.set(name, value),
    removeItem: (name) => items.delete(name),
  };
}

/** The promise's result; throws the signal's reason as soon as it is aborted. */
function untilAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason ?? abortError());
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
