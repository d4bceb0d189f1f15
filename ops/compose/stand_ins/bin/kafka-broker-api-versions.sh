#!/bin/sh
# The tools of the full distribution are in no jar that Maven has; an open port is the best sign of life without them.
exec nc -z 127.0.0.1 9092
