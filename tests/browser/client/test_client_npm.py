"""tokentail.js as npm packs it: the archive's files, the types in a strict program, and the module in Node."""

import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from tests.browser.harness import BrowserHarness
from tests.npm import WITHIN_S, npm
from tests.programs import NODE
from tests.scripted_worker import COMPLETED, ScriptedWorker

CLIENT = Path(str(files("app") / "static" / "client"))
ROOT = Path(__file__).parents[3]
TYPESCRIPT = "typescript@5"

# Each @ts-expect-error is a fault that the types have to find: one that they let through fails, too.
CONSUMER = """
import { EventParser, Tokentail, TokentailError, recall, remember } from "tokentail";
import type { EventStep, Job, TokenStep, Transport } from "tokentail";

const tokentail = new Tokentail({ url: "http://127.0.0.1:8000", timing: { waitMs: 5000 } });

export async function read(prompt: string): Promise<string> {
  const submitted = await tokentail.submit({ prompt, max_tokens: 20 }, { idempotencyKey: "once" });
  const links: string[] = [submitted.links.self, submitted.links.stream, submitted.links.cancel];
  // @ts-expect-error there is no such link
  links.push(submitted.links.nowhere);
  let text = "";
  let over: Transport | undefined;
  for await (const step of tokentail.follow(submitted.id, { transport: "auto", signal: AbortSignal.timeout(1000) })) {
    const known: TokenStep = step;
    text = (known.reset ? "" : text) + known.tokens.join("");
    over = known.transport;
    // @ts-expect-error events are asked for by an option
    step.events;
  }
  for await (const step of tokentail.follow(submitted.id, { events: true, cursor: "0" })) {
    const known: EventStep = step;
    for (const element of known.events) {
      if (typeof element === "string") text += element;
      else if (element.type === "reasoning") text += element.text;
      else if (element.type === "end") text += element.error?.message ?? "";
    }
  }
  const job: Job = await tokentail.cancel(submitted.id);
  // @ts-expect-error it may not have begun
  const tookMs: number = job.time_to_first_token_ms;
  return `${text} ${over} ${tookMs} ${remember(recall().job ?? submitted.id)}`;
}

export function why(error: unknown): string {
  return error instanceof TokentailError ? `${error.status} ${error.detail} ${error.retryAfterMs ?? 0}` : String(error);
}

export const events = new EventParser().push(new Uint8Array()).map(({ data }) => data);
// @ts-expect-error no such transport
tokentail.follow("id", { transport: "pigeon" });
"""
STRICT = "--noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --module nodenext --target es2022"
LIBRARIES = "es2022,dom,dom.iterable"

FOLLOWER = """
import { Tokentail } from "tokentail";

const [url, jobId] = process.argv.slice(2);
let text = "";
const transports = new Set();
for await (const step of new Tokentail({ url }).follow(jobId, { transport: "long" })) {
  if (!text && step.tokens.length) console.log("It has begun.");
  text = (step.reset ? "" : text) + step.tokens.join("");
  transports.add(step.transport);
  if (step.done) console.log(JSON.stringify({ text, transports: [...transports], status: step.status }));
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that has installed the archive."""
    NODE.require()
    folder = tmp_path_factory.mktemp("npm")
    (packed,) = npm("pack", "--pack-destination", str(folder), cwd=CLIENT)
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm("install", str(folder / packed["filename"]), "--offline", cwd=folder)
    return folder


def test_the_archive_is_the_module_its_types_and_its_license() -> None:
    """npm's archive has the module, parts for frameworks, types, a README and the license, and nothing else."""
    (packed,) = npm("pack", "--dry-run", cwd=CLIENT)
    assert {file["path"] for file in packed["files"]} == {
        *("package.json", "tokentail.js", "tokentail.d.ts"),
        *("react.js", "react.d.ts", "element.js", "element.d.ts"),
        *("README.md", "LICENSE"),
    }
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_its_types_hold_for_a_strict_program(program: Path) -> None:
    """TypeScript accepts what the docs show, and finds each marked fault."""
    npm("install", TYPESCRIPT, cwd=program)
    (program / "consumer.mts").write_text(CONSUMER)
    argv = [NODE.require(), "node_modules/typescript/bin/tsc", *STRICT.split(), "--lib", LIBRARIES, "consumer.mts"]
    compiled = subprocess.run(argv, cwd=program, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert compiled.returncode == 0, compiled.stdout


def test_a_program_in_node_follows_a_job_to_its_end(
    program: Path, straight_harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """A program reads by long polls while the answer is made, then ends by itself, because nothing is left open."""
    job_id = worker.submit()
    (program / "follow.js").write_text(FOLLOWER)
    argv = [NODE.require(), "follow.js", straight_harness.url, job_id]
    with subprocess.Popen(argv, cwd=program, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            writer = worker.take(job_id)
            worker.say(writer, "Ünd")
            assert follower.stdout.readline() == "It has begun.\n"
            worker.say(writer, " so", " on", COMPLETED)
            said, _ = follower.communicate(timeout=10)
        finally:
            follower.kill()
    assert follower.returncode == 0
    assert json.loads(said) == {"text": "Ünd so on", "transports": ["long"], "status": "completed"}


def test_the_types_name_the_links_that_the_server_sends(
    straight_harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """The types list exactly the links that the server sends."""
    links = re.search(r"links: Record<(.+?), string>", (CLIENT / "tokentail.d.ts").read_text())
    assert links is not None
    sent = straight_harness.web.ask("GET", f"/v1/jobs/{worker.submit()}").json["links"]
    assert set(re.findall(r'"(\w+)"', links[1])) == set(sent)
