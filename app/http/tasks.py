"""The tasks by which the API page groups the calls. Pure."""

from app.http import paths

_ASK = ("Ask", "Submit a prompt. The response has the job's id, and comes before the model has said a word.")
_READ = (
    "Read an answer",
    "Over short polls, long polls, Server-Sent Events or a WebSocket, from any cursor, by anyone who may.",
)
_JOBS = ("Look after jobs", "Find, stop and delete jobs, and share their answers.")
_OPENAI = ("Speak OpenAI's API", "Change the base URL of a program; its answers become jobs.")
_AI_SDK = ("Serve the AI SDK's `useChat`", "Point its transport here; its answers become jobs.")
_KEYS = ("Sign in", "Sessions of browsers, users and keys.")
_OPERATE = ("Run it", "Is it well, what does it do, which models does it serve?")

TASKS = (_ASK, _READ, _JOBS, _OPENAI, _AI_SDK, _KEYS, _OPERATE)

_READING = frozenset(
    {
        paths.JOB_TOKENS,
        paths.JOB_EVENTS,
        paths.JOB_TEXT,
        paths.JOB_STREAM,
        paths.JOB_SOCKET,
        paths.JOB_DURABLE_EVENTS,
        paths.JOB_DURABLE_TEXT,
        paths.POLL,
        paths.RAW_STREAM,
    }
)
_OPERATING = (paths.OVERVIEW, paths.MODELS, paths.HEALTH, paths.READINESS, paths.OPERATOR_JOBS)


def task_of(method: str, path: str) -> str:
    """The name of the task that a call is for."""
    if path.startswith(paths.OPENAI):
        return _OPENAI[0]
    if path.startswith(paths.AI_SDK):
        return _AI_SDK[0]
    if path in _READING:
        return _READ[0]
    if (method, path) == ("POST", paths.JOBS):
        return _ASK[0]
    if path.startswith(paths.JOBS):
        return _JOBS[0]
    return (_OPERATE if path.startswith(_OPERATING) else _KEYS)[0]
