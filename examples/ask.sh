#!/usr/bin/env bash
# Ask, and print the answer as it is made, with nothing but curl and jq. Ctrl-C stops the reading, not the job.
#
#   examples/ask.sh "Why is the sky blue?"     submits, and reads by short polls
#   examples/ask.sh                            after Ctrl-C, a lost network or a reboot: reads on where it stopped
#
# TOKENTAIL_URL is the server (http://127.0.0.1:8000), TOKENTAIL_API_KEY its key if it wants one, and
# TOKENTAIL_STATE the file that remembers job and cursor (.tokentail-ask in this folder).
set -euo pipefail

server=${TOKENTAIL_URL:-http://127.0.0.1:8000}
state=${TOKENTAIL_STATE:-.tokentail-ask}
stopped=
trap 'stopped=yes' INT TERM

# call CURL-ARGUMENTS…: the body of an answer. Tries again while failures may pass; prints the others and fails.
call() {
  local answer code
  while :; do
    # The key goes through a file descriptor: arguments can be seen by everybody on the machine.
    answer=$(curl -sS --max-time 30 -w '\n%{http_code}' "$@" \
      -K <(printf '%s' "${TOKENTAIL_API_KEY:+header = \"Authorization: Bearer $TOKENTAIL_API_KEY\"}")) || answer=$'\n000'
    code=${answer##*$'\n'}
    case $code in
      2??) printf '%s' "${answer%$'\n'*}" && return ;;
      000 | 408 | 429 | 50[234]) sleep 1 ;; # nobody there, cut off, or busy
      *) printf '%s\n' "${answer%$'\n'*}" >&2 && return 1 ;;
    esac
  done
}

# By the shell alone: Ctrl-C ends other programs, and what is printed has to be remembered.
remember() { printf '%s %s\n' "$job" "$cursor" > "$state"; }

if [ $# -gt 0 ]; then
  key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') # sent twice it makes one job
  body=$(jq -n --arg prompt "$*" '{$prompt}')
  body=$(call "$server/v1/jobs" -d "$body" -H 'Content-Type: application/json' -H "Idempotency-Key: $key")
  job=$(jq -r .id <<< "$body") cursor=0
  remember
elif [ -f "$state" ]; then
  read -r job cursor < "$state"
else
  echo "usage: $0 PROMPT" >&2
  exit 2
fi

while [ -z "$stopped" ]; do
  body=$(call "$server/v1/jobs/$job/tokens?cursor=$cursor") || { [ -n "$stopped" ] && break || exit 1; }
  # jq quotes every value, so that nothing a model says is run; and it takes out what would steer the terminal.
  values=$(jq -r 'def shown: explode | map(if . < 32 and . != 9 and . != 10 or . > 126 and . < 160 then 63 else . end) | implode;
    @sh "tokens=\(.tokens | join("") | shown) cursor=\(.cursor) reset=\(.reset) done=\(.done)",
    @sh "pause=\(.poll_after_ms / 1000) status=\(.status) error=\(.error.message // "" | shown)"' <<< "$body") ||
    { [ -n "$stopped" ] && break; sleep 1; continue; } # somebody else answered
  eval "$values"
  [ "$reset" = false ] || printf '\n(started again)\n' >&2
  printf '%s' "$tokens"
  remember
  if [ "$done" = true ]; then
    rm "$state"
    echo
    [ "$status" = completed ] || { echo "The job ended as $status. $error" >&2 && exit 1; }
    exit 0
  fi
  sleep "$pause" || true
done
printf '\nThe job goes on. Read on with: %s\n' "$0" >&2
exit 130
