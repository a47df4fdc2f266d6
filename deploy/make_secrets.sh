#!/bin/sh
# Fill deploy/secrets/ for docker-compose.yml with random secrets; those that exist are kept.
set -eu
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
# Containers run as a user of their own, so the files must be readable; the folder keeps others on this host out.
chmod 700 "$folder"
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() {
    if [ ! -s "$folder/$1" ]; then
        printf '%s' "$2" >"$folder/$1"
        echo "made $folder/$1"
    fi
    chmod 644 "$folder/$1"
}
make redis_password "$(random)"
make flower_auth "operator:$(random)"
make grafana_password "$(random)"
# Seals the secrets that sign webhooks.
make webhook_key "$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
