#!/bin/sh
# A stand-in for a real deployment: says what it would deploy, and fails where it is asked to.
#
# saasbot passes everything in the environment. SAASBOT_RUN_KEY is the same for the same run, however often
# it is asked for: a real deployment can use it to refuse to start twice.
set -eu

echo "action      ${SAASBOT_ACTION:-deploy}"
echo "target      ${SAASBOT_TARGET:?set by saasbot}"
echo "SaaS file   ${SAASBOT_SAAS_FILE:-}"
echo "commit      ${SAASBOT_SHA:-}"
echo "ref         ${SAASBOT_REF:-}"
echo "parameters  ${SAASBOT_PARAMETERS:-}"
echo "reasons     ${SAASBOT_REASONS:-}"
echo "run key     ${SAASBOT_RUN_KEY:-}"

# To see what a failed deployment looks like, give a target the parameter `FAIL: true`.
case "${SAASBOT_PARAMETERS:-}" in
*'"FAIL": true'* | *'"FAIL":true'*)
	echo "failing, as the parameter FAIL asks" >&2
	exit 1
	;;
esac

echo "done"
