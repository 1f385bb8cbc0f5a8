"""Setups: the programs that stand in front of a web process, each in its smallest configuration and as we advise it.

In a configuration @PORT@ is where the program listens, @TARGET@ what it asks, and @FOLDER@ a folder of its own.
"""

from dataclasses import dataclass, field
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Program:
    """A program that passes HTTP on. `argv` and the configuration's text have the places."""

    title: str
    names: tuple[str, ...]  # of its executable
    version: tuple[str, ...]  # the arguments that print it
    argv: tuple[str, ...]
    package: str  # Debian's, unless `room` is set
    room: str = ""  # "node" or "python": where packages of npm or PyPI are installed


@dataclass(frozen=True)
class Setup:
    """A program with a configuration. `line` is what one adds to the smallest configuration; "" for the smallest."""

    program: Program
    files: dict[str, str] = field(hash=False)  # its first is @CONFIG@
    line: str = ""
    more: tuple[str, ...] = ()  # further arguments

    @property
    def name(self) -> str:
        return f"{self.program.title}, {'as advised' if self.line else 'smallest'}"


_NGINX = Program("nginx", ("nginx",), ("-v",), ("-p", "@FOLDER@", "-e", "@FOLDER@/errors", "-c", "@CONFIG@"), "nginx")
_HAPROXY = Program("HAProxy", ("haproxy",), ("-v",), ("-db", "-f", "@CONFIG@"), "haproxy")
_VARNISH = Program(
    "Varnish", ("varnishd",), ("-V",), ("-F", "-j", "none", "-a", "127.0.0.1:@PORT@", "-n", "@FOLDER@/run"), "varnish"
)
_CADDY = Program("Caddy", ("caddy",), ("version",), ("run", "--config", "@CONFIG@", "--adapter", "caddyfile"), "caddy")
_LIGHTTPD = Program("lighttpd", ("lighttpd",), ("-v",), ("-D", "-f", "@CONFIG@"), "lighttpd")
_APACHE = Program("Apache", ("apache2",), ("-v",), ("-D", "FOREGROUND", "-f", "@CONFIG@"), "apache2")
# Its service name is part of the names of its shared memory.
_SQUID = Program(
    "Squid, as accelerator", ("squid",), ("-v",), ("-N", "-n", "tokentail@PORT@", "-f", "@CONFIG@"), "squid"
)
_TINYPROXY = Program("tinyproxy", ("tinyproxy",), ("-v",), ("-d", "-c", "@CONFIG@"), "tinyproxy")

_NGINX_MAIN = """daemon off;
pid @FOLDER@/pid;
@USER@
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    @SERVER@
}
"""
_NGINX_SMALLEST = "server { listen 127.0.0.1:@PORT@; location / { proxy_pass http://127.0.0.1:@TARGET@; } }"

_HAPROXY_SMALLEST = """defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
listen tokentail
    bind 127.0.0.1:@PORT@
    server web 127.0.0.1:@TARGET@
"""
_VARNISH_SMALLEST = 'vcl 4.1;\nbackend default { .host = "127.0.0.1"; .port = "@TARGET@"; }\n'
_VARNISH_PASS = """sub vcl_recv {
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
    return (pass);
}
sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}
"""
_CADDY_GLOBAL = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\toutput discard\n\t}\n}\n"
_CADDY_SMALLEST = ":@PORT@ {\n\treverse_proxy 127.0.0.1:@TARGET@\n}\n"
_CADDY_PATIENT = """:@PORT@ {
\t@nokey not header Idempotency-Key *
\trequest_header @nokey Idempotency-Key {http.request.uuid}
\treverse_proxy 127.0.0.1:@TARGET@ {
\t\tlb_try_duration 8s
\t}
}
"""
_LIGHTTPD_SMALLEST = """server.modules = ("mod_proxy")
server.document-root = "@FOLDER@"
server.bind = "127.0.0.1"
server.port = @PORT@
server.errorlog = "@FOLDER@/errors"
proxy.server = ("" => (("host" => "127.0.0.1", "port" => @TARGET@)))
"""
_LIGHTTPD_STREAMS = 'server.stream-response-body = 1\nproxy.header = ("upgrade" => "enable")\n'
_APACHE_SMALLEST = """ServerRoot "@FOLDER@"
ServerName localhost
PidFile "@FOLDER@/pid"
ErrorLog "@FOLDER@/errors"
User www-data
Group www-data
Listen 127.0.0.1:@PORT@
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
"""
_APACHE_PASS = "ProxyPass / http://127.0.0.1:@TARGET@/"
_SQUID_SMALLEST = """http_port 127.0.0.1:@PORT@ accel defaultsite=127.0.0.1:@PORT@
http_access allow all
pid_filename @FOLDER@/pid
cache_log @FOLDER@/errors
access_log none
shutdown_lifetime 0 seconds
cache_peer 127.0.0.1 parent @TARGET@ 0 no-query originserver"""
_TINYPROXY_SMALLEST = """Port @PORT@
Listen 127.0.0.1
Timeout 600
LogLevel Error
LogFile "@FOLDER@/errors"
ReverseOnly Yes
ReversePath "/" "http://127.0.0.1:@TARGET@/"
"""


def _nginx(server: str) -> str:
    return _NGINX_MAIN.replace("@SERVER@", server)


def _placed_nginx() -> str:
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("listen 80;", "listen 127.0.0.1:@PORT@;").replace("/var/log/nginx", "@FOLDER@")
    return text.replace("127.0.0.1:8000", "127.0.0.1:@TARGET@")


def debian_setups() -> tuple[Setup, ...]:
    """The setups of Debian's programs."""
    apache, squid = f"{_APACHE_SMALLEST}{_APACHE_PASS}", _SQUID_SMALLEST
    return (
        Setup(_NGINX, {"main": _nginx(_NGINX_SMALLEST)}),
        Setup(
            _NGINX,
            {"main": _nginx("include @FOLDER@/site;"), "site": _placed_nginx()},
            "[`deploy/nginx.conf`](../deploy/nginx.conf)",
        ),
        Setup(_HAPROXY, {"main": _HAPROXY_SMALLEST}),
        Setup(
            _HAPROXY,
            {"main": f"{_HAPROXY_SMALLEST}    option http-no-delay\n    option abortonclose\n"},
            "`option http-no-delay` and `option abortonclose`",
        ),
        Setup(_VARNISH, {"main": _VARNISH_SMALLEST}, more=("-f", "@CONFIG@")),
        Setup(
            _VARNISH,
            {"main": _VARNISH_SMALLEST + _VARNISH_PASS},
            "`return (pass);` in `vcl_recv`, and `return (pipe);` for an upgrade",
            ("-f", "@CONFIG@"),
        ),
        Setup(_CADDY, {"main": _CADDY_GLOBAL + _CADDY_SMALLEST}),
        Setup(
            _CADDY,
            {"main": _CADDY_GLOBAL + _CADDY_PATIENT},
            "`lb_try_duration 8s`, and an `Idempotency-Key` for requests that lack one",
        ),
        Setup(_LIGHTTPD, {"main": _LIGHTTPD_SMALLEST}),
        Setup(
            _LIGHTTPD,
            {"main": _LIGHTTPD_SMALLEST + _LIGHTTPD_STREAMS},
            '`server.stream-response-body = 1` and `proxy.header = ("upgrade" => "enable")`',
        ),
        Setup(_APACHE, {"main": f"{apache}\n"}),
        Setup(
            _APACHE,
            {"main": f"{apache} upgrade=websocket\nProxyPreserveHost On\n"},
            "`ProxyPreserveHost On`, and `upgrade=websocket` at the end of `ProxyPass`",
        ),
        Setup(_SQUID, {"main": f"{squid}\n"}),
        Setup(_SQUID, {"main": f"{squid} login=PASSTHRU\n"}, "`login=PASSTHRU` at the end of `cache_peer`"),
        Setup(_TINYPROXY, {"main": _TINYPROXY_SMALLEST}),
    )
