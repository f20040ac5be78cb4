"""The command line, one file a group, loaded lazily. Parses arguments and prints; decides nothing."""
