"""The paths of all calls, as templates: each {name} stands for one segment, {name*} for one or more.

No other file of the app contains a path; a test holds it. (The static files have a table of their own, in
`app/serving/static_files.py`.)
"""

OWN = "/v1/"  # the beginning of the paths whose calls refuse unknown parameters
JOBS = "/v1/jobs"
JOB = f"{JOBS}/{{job_id}}"
JOB_TOKENS = f"{JOB}/tokens"
JOB_EVENTS = f"{JOB}/events"
JOB_TEXT = f"{JOB}/text"
JOB_STREAM = f"{JOB}/stream"
JOB_DURABLE_EVENTS = f"{JOB}/durable/events"
JOB_DURABLE_TEXT = f"{JOB}/durable/text"
JOB_SOCKET = f"{JOB}/ws"
JOB_REQUEST = f"{JOB}/request"
JOB_SHARE = f"{JOB}/share"
JOB_CANCEL = f"{JOB}/cancel"
POLL = "/v1/poll"
USER = "/v1/users/{user*}"
SESSION = "/v1/session"
OVERVIEW = "/v1/overview"
OPERATOR_JOBS = "/v1/operator/jobs"
MODELS = "/v1/models"
USAGE = "/v1/usage"
RAW_STREAM = "/stream"
OPENAI = "/openai/"  # the beginning of OpenAI's paths
AI_SDK = "/ai-sdk/"  # the beginning of the paths of the AI SDK's chat
CALLS = ("/v1/", OPENAI, AI_SDK)  # the beginnings of the paths of programs
CHAT = f"{OPENAI}v1/chat/completions"
CHAT_COMPLETION = f"{CHAT}/{{completion_id}}"
OPENAI_MODELS = f"{OPENAI}v1/models"
OPENAI_MODEL = f"{OPENAI_MODELS}/{{model*}}"
RESPONSES = f"{OPENAI}v1/responses"
RESPONSE = f"{RESPONSES}/{{response_id}}"
RESPONSE_CANCEL = f"{RESPONSE}/cancel"
RESPONSE_INPUT = f"{RESPONSE}/input_items"
UI_CHAT = f"{AI_SDK}chat"
UI_CHAT_STREAM = f"{UI_CHAT}/{{chat_id}}/stream"
UI_CHAT_STOP = f"{UI_CHAT}/{{chat_id}}/stop"
HEALTH = "/healthz"
READINESS = "/readyz"
OPENAPI = "/openapi.json"
DOCS = "/docs"
DOCS_FILE = f"{DOCS}/{{name}}"
