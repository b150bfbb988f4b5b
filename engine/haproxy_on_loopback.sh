#!/bin/sh
# HAProxy as Ray Serve starts it on one machine, with what Serve's template leaves open closed first: the metrics and
# statistics ports go to loopback and the admin socket to this user alone. The calls' own port is left as it is: Serve
# binds it to a host. Given to Serve by RAY_SERVE_HAPROXY_BINARY_PATH; PARLEY_HAPROXY_BINARY names the real HAProxy.
set -eu
config='' previous=''
for argument in "$@"; do
  if [ "$previous" = -f ]; then config=$argument; fi
  previous=$argument
done
if [ -n "$config" ]; then
  # Serve looks for its HAProxy processes by the config's path, so the file keeps its name.
  (
    umask 077
    sed -E -e 's/^([[:space:]]*bind[[:space:]]+)\*?:([0-9]+)/\1127.0.0.1:\2/' \
      -e 's/^([[:space:]]*stats socket .*)mode 666/\1mode 600/' "$config" >"$config.closed"
    mv "$config.closed" "$config"
  )
fi
exec "${PARLEY_HAPROXY_BINARY:?names the real HAProxy}" "$@"
