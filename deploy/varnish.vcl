# Varnish in front of Tokentail: varnishd -a :80 -f /etc/varnish/tokentail.vcl. Tried with 7.1.

vcl 4.1;

import directors;

# One backend for each process or machine. One that stops says so at /readyz for TOKENTAIL_DRAIN_S (2 s), and serves
# meanwhile. Behind one address with several processes, take the probe out: it would ask any of them.
probe ready {
    .url = "/readyz";
    .interval = 0.5s;
    .timeout = 10s;  # a busy process is slow to answer, and lives
    .window = 1;
    .threshold = 1;
    .initial = 1;
}

backend web1 {
    .host = "127.0.0.1";
    .port = "8000";
    .probe = ready;
    .first_byte_timeout = 60s;  # above TOKENTAIL_MAX_WAIT_S (25 s)
    .between_bytes_timeout = 60s;  # streams say something every 10 s
}

backend web2 {
    .host = "127.0.0.1";
    .port = "8001";
    .probe = ready;
    .first_byte_timeout = 60s;
    .between_bytes_timeout = 60s;
}

sub vcl_init {
    new webs = directors.round_robin();
    webs.add_backend(web1);
    webs.add_backend(web2);
}

sub vcl_recv {
    set req.backend_hint = webs.backend();
    if (req.http.Upgrade ~ "(?i)^websocket$") {
        return (pipe);
    }
    # Readers of one job ask for the same at the same time. Varnish would let only one of them ask, and then the next.
    return (pass);
}

sub vcl_pipe {
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
}

sub vcl_backend_response {
    # Gathers a stream to its end, or to the next event.
    set beresp.do_gzip = false;
    set beresp.do_esi = false;
}
