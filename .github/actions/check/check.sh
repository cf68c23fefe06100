#!/usr/bin/env bash
# Checks manifests twice: for people, into the log of the job, and for code scanning, into a file. Outputs: `sarif`, that
# file, and `status`, the exit status of `sluicegate check`.
#
#   CHECK_PATHS     files and directories, one a line
#   CHECK_OPTIONS   options, separated by spaces
set -euo pipefail

mapfile -t paths < <(grep --invert-match '^[[:space:]]*$' <<<"$CHECK_PATHS")
read -ra options <<<"${CHECK_OPTIONS:-}" || true
sarif=$RUNNER_TEMP/sluicegate.sarif

status=0
sluicegate check "${options[@]}" --output sarif "${paths[@]}" >"$sarif" || status=$?
if [ "$status" -ne 2 ]; then
  sluicegate check "${options[@]}" --no-conditions "${paths[@]}" || true
fi
printf 'sarif=%s\nstatus=%s\n' "$sarif" "$status" >>"$GITHUB_OUTPUT"
