# A program that tidies up on SIGTERM, and then forgets to end.
trap 'echo TERM >> said' TERM
while :; do sleep 0.1; done
