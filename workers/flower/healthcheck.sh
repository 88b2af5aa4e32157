#!/bin/sh
# Does Flower answer? This page needs no login.
exec python3 -c 'import os, urllib.request as u; u.urlopen("http://127.0.0.1:%s/healthcheck" % os.environ.get("FLOWER_PORT", 5555), timeout=4)'
