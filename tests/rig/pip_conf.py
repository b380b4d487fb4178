"""Print pip's settings of this machine that decide where packages come from, as a pip.conf for an image."""

import configparser
import os
import pathlib

# Paths of this machine (find-links, cache-dir, …) are left out: an image cannot see them.
# The certificate bundle is copied to where Debian's own is.
NAMES = ["index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries", "no-index"]

files = [pathlib.Path("/etc/pip.conf"), pathlib.Path("~/.pip/pip.conf"), pathlib.Path("~/.config/pip/pip.conf")]
files += [pathlib.Path(os.environ[name]) for name in ["PIP_CONFIG_FILE"] if name in os.environ]
found = configparser.RawConfigParser()
found.read([path.expanduser() for path in files])
settings = dict(found["global"]) if found.has_section("global") else {}
for proxy in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"]:
    if os.environ.get(proxy):
        settings.setdefault("proxy", os.environ[proxy])
for name in NAMES:
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        settings[name] = value

print("[global]")
print("cert = /etc/ssl/certs/ca-certificates.crt")
for name in NAMES:
    if name in settings:
        print(f"{name} = " + " ".join(settings[name].split()))
