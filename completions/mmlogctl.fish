# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mmlogctl_global_optspecs
    string join \n trust-path h/help V/version
end

function __fish_mmlogctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mmlogctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mmlogctl_using_subcommand
    set -l cmd (__fish_mmlogctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -s V -l version -d 'Print version'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "init" -d 'Create a log, or check that an existing one has these options'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "append" -d 'Append standard input to a log: whole lines, nothing dropped unless told to'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "exec" -d 'Run a program, and append what it writes to standard output and standard error'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "cat" -d 'Print logs: exactly the committed bytes, without holes'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "tail" -d 'Print the end of logs, and follow them'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "status" -d 'Say how a log is: state, positions, lock, writers, holes, what to do next'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "check" -d 'Check logs for monitoring: one line each, figures, and an exit code that Nagios understands'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "inspect" -d 'Watch logs on a live screen: what is wrong, who it is, what to do next'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "repair" -d 'Examine a log and mend it: say what was found, what is to be done, and do that'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "trim" -d 'Cut off the preallocated space behind the last byte'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "rotate" -d 'Make what was appended a final segment and go on in a new data file'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "prune" -d 'Remove final segments that are no longer wanted'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "segments" -d 'List the segments of a log, oldest first'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "rm" -d 'Remove a log that nobody has open: data and metadata, with --all its final segments too'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "drill" -d 'Rehearse incidents: stage them on a scratch log, see what `status` says, do it'
complete -c mmlogctl -n "__fish_mmlogctl_needs_command" -f -a "bench" -d 'Compare appending to a log with other ways to append to a file, here and now'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -l chunk-size -d 'By how much the data file grows at a time, a multiple of the page size [default: 16 MiB]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -l max-writers -d 'How many writers may have the log open at once [default: 1024]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -l mode -d 'The permission bits of the files, in octal [default: 0666 without the umask]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -l gate-ms -d 'How long a trim keeps writers waiting before it gives up, in milliseconds [default: 50]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -l adopt -d 'Log behind the bytes of a data file that has no metadata'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l linger -d 'Collect for up to DUR before appending, so that batches are fewer and bigger' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l max-line -d 'Split a line that is longer than this, and say so. Each piece is a line of exactly SIZE bytes, the last one may be shorter; --split-mark tells them from lines of that length. This much of a line is held in memory (but at least 1M), twice with --timestamp or --prefix' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l split-mark -d 'Put TEXT at the end of each piece of a split line but the last, so that whoever reads can join them: where a line ends with TEXT, the next one of the same writer (told by --prefix, where there are several) goes on with it' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l on-full -d 'What to do while the log cannot grow because the disk is full' -r -f -a "retry\t'Say it once, wait, and go on when there is space'
fail\t'Fail with how many bytes were not stored; for exec, the former name of drop'
drop\t'Drop what comes, go on when there is space, and leave one line in the log that says how much was dropped'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l sync -d 'When to make durable what was stored, against power failures: never, interval=DUR, or always, which is before anything more is read. After either of the last two, exit code 0 means that all of it is durable' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l drop-behind -d 'Keep about this much of the log\'s end in the page cache, and write out and drop what lies further behind: for hosts whose other programs need the cache. A burst of more has to wait for the disk. Whole chunks are kept, at least as many as are mapped' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l prefix -d 'Put TEXT before each line (after the time, if both are asked for)' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l chunk-size -d 'By how much the data file grows at a time, a multiple of the page size [default: 16 MiB]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l max-writers -d 'How many writers may have the log open at once [default: 1024]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l mode -d 'The permission bits of the files, in octal [default: 0666 without the umask]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l grace -d 'How long to go on reading after SIGTERM, SIGINT or SIGHUP, if the input does not end before; 0s stores what lies in the pipe' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l no-create -d 'Fail when the log does not exist'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l timestamp -d 'Put the time of storing before each line: RFC 3339, UTC, microseconds'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l raw -d 'Bytes as they come: no waiting for a newline, none added at the end'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l tee -d 'Copy to standard output what was stored. When the copy cannot be written any more (its reader went away), that is said, and the log goes on without it'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -l tee-ends -d 'The same, and end when the copy cannot be written any more, as in `append --tee-ends app.log | head`: what lies in the pipe is stored. The exit code is 0 if the reader went away, else 1'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand append" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l linger -d 'Collect for up to DUR before appending, so that batches are fewer and bigger' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l max-line -d 'Split a line that is longer than this, and say so. Each piece is a line of exactly SIZE bytes, the last one may be shorter; --split-mark tells them from lines of that length. This much of a line is held in memory (but at least 1M), twice with --timestamp or --prefix' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l split-mark -d 'Put TEXT at the end of each piece of a split line but the last, so that whoever reads can join them: where a line ends with TEXT, the next one of the same writer (told by --prefix, where there are several) goes on with it' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l on-full -d 'What to do while the log cannot grow because the disk is full' -r -f -a "retry\t'Say it once, wait, and go on when there is space'
fail\t'Fail with how many bytes were not stored; for exec, the former name of drop'
drop\t'Drop what comes, go on when there is space, and leave one line in the log that says how much was dropped'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l sync -d 'When to make durable what was stored, against power failures: never, interval=DUR, or always, which is before anything more is read. After either of the last two, exit code 0 means that all of it is durable' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l drop-behind -d 'Keep about this much of the log\'s end in the page cache, and write out and drop what lies further behind: for hosts whose other programs need the cache. A burst of more has to wait for the disk. Whole chunks are kept, at least as many as are mapped' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l prefix -d 'Put TEXT before each line (after the time, if both are asked for)' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l chunk-size -d 'By how much the data file grows at a time, a multiple of the page size [default: 16 MiB]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l max-writers -d 'How many writers may have the log open at once [default: 1024]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l mode -d 'The permission bits of the files, in octal [default: 0666 without the umask]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l stderr-prefix -d 'Put TEXT before each line of standard error, instead of that of --prefix' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l no-create -d 'Fail when the log does not exist'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l timestamp -d 'Put the time of storing before each line: RFC 3339, UTC, microseconds'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l tee -d 'Copy what was stored: of standard output to standard output, of standard error to standard error. A copy that cannot be written any more (its reader went away) is said, and CMD goes on without it'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l tee-ends -d 'The same, and when a copy cannot be written any more, close the pipe of that stream: CMD meets what it would without us (SIGPIPE, EPIPE), and the exit code is what CMD makes of it'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -l until-closed -d 'Go on after CMD has ended, until all processes have closed the output that they inherited from it, or until SIGTERM, SIGINT or SIGQUIT'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l from -d 'Start at this position instead of the oldest one that is kept' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l to -d 'Stop before this position' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l holes -d 'What to print for a hole, a range whose writer died before it was written' -r -f -a "skip\t'Nothing'
nul\t'As many NUL bytes as the hole is long, so that offsets in the output are positions'
say\t'Nothing; where the hole is and who left it is said on standard error'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -s o -l output -d 'The form of the output' -r -f -a "text\t'The bytes as they were appended'
json\t'One JSON object for each line of the log: position, end, segment, and text or base64'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l max-line -d 'With -o json, give a longer line in pieces of so many bytes' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l color -d 'When to use colours: on a terminal, unless NO_COLOR is set; always; never' -r -f -a "auto\t'On a terminal that has them, unless `NO_COLOR` is set'
always\t'Always, also into a pipe'
never\t'Never'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -s R -l raw -d 'On a terminal, show the colours of the log\'s own lines (SGR sequences); all other control characters stay escaped. A colour ends with its line. Elsewhere all bytes are as they are anyway'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand cat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s n -l lines -d 'Print the last N lines (without this option 10), or with +N all from line N on' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s c -l bytes -d 'Print the last N bytes, or with +N all from byte N on' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s f -l follow -d 'Print what is appended, as soon as it is; with `name`, go on with a log that was made anew' -r -f -a "descriptor\t'The one that was opened, whatever becomes of its name'
name\t'The one that has the name'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s s -l sleep-interval -d 'Accepted for the sake of tail(1), and without meaning: nothing is polled, a line is shown when it comes' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l pid -d 'With -f or -F, end when this process has ended; given several times, when all have' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l from -d 'Start at this position' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l cursor-file -d 'Start where this file says, and keep in it how far the output has come' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l hold -d 'Keep prune from what this consumer has not read yet, under this name' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l ack -d 'With -o json, keep in the cursor-file only what the consumer acknowledges on this descriptor' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s o -l output -d 'The form of the output' -r -f -a "text\t'The bytes as they were appended'
json\t'One JSON object for each line of the log: position, end, segment, and text or base64'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l max-line -d 'With -o json, give a longer line in pieces of so many bytes' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l color -d 'When to use colours: on a terminal, unless NO_COLOR is set; always; never' -r -f -a "auto\t'On a terminal that has them, unless `NO_COLOR` is set'
always\t'Always, also into a pipe'
never\t'Never'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l holes -d 'What to print for a hole, a range whose writer died before it was written' -r -f -a "skip\t'Nothing'
nul\t'As many NUL bytes as the hole is long, so that offsets in the output are positions'
say\t'Nothing; where the hole is and who left it is said on standard error'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s F -d 'As --follow=name --retry: wait for a log that does not exist yet, and go on with one that was made anew'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l retry -d 'With -f, wait for a log that does not exist yet; with --follow=name, also for one that was removed'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s q -l quiet -l silent -d 'Never print whose lines follow'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s v -l verbose -d 'Always print whose lines follow'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -l until-now -d 'Print everything that is final now, from the start or where -n, -c, --from or --cursor-file say, then end; with -F, wait first for a log that does not exist yet'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s z -l zero-terminated -d 'Lines end with NUL, not newline'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s R -l raw -d 'On a terminal, show the colours of the log\'s own lines (SGR sequences); all other control characters stay escaped. A colour ends with its line. Elsewhere all bytes are as they are anyway'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand status" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand status" -l json -d 'One JSON object for each log, one per line; of a log that cannot be read, what is known'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand status" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -s w -l warning -d 'Warn when METRIC is above VALUE (file_size, writers, holes, lag, in_flight, waiting, waited, slack, idle, behind, segments, size, lock, maintenance, unsynced), or below it (free, inodes). Sizes as 64M (K is 1024, up to P and E), durations as 5m, 1d12h or 2w. May be given more than once; of two for the same METRIC the last one counts' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -s c -l critical -d 'The same for critical: -w free=1G,idle=10m -c free=64M' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -l prom -d 'Write metrics of all LOGs to FILE, in the text format of Prometheus: for node_exporter\'s textfile collector, which wants a name that ends in .prom. FILE is replaced as a whole, with mode 0644. `-` writes them to standard output, in place of the lines' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -l deep -d 'Check the invariants, and read all of the data'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -l json -d 'One JSON object for each log'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -s d -l interval -d 'Between two looks: 250ms, 2s; a bare number is seconds. The default is 250ms, with --batch 2s' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -s n -l count -d 'With --batch: end after so many' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -l once -d 'Print one frame as plain text and exit; 80x24, or as COLUMNS and LINES say'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -l batch -d 'Print a frame as plain text at each interval'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -l json -d 'With --batch or --once: one JSON object for each log and tick, that of status --json with rates'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -l read-only -d 'No operations, nor keys for them'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l wait -d 'How long to wait for others, in all: another maintenance command, the log\'s lock, a writer in the way' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -s n -l dry-run -d 'Say what was found and what would be done; change nothing'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l json -d 'One JSON object'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l clear-panic -d 'Take the panic flag away, if every invariant holds; its cause is shown first'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l rebuild -d 'Make new metadata from the data file, when there is none or none that can be believed'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l recreate -d 'Make an empty data file behind the lost positions, when it is gone'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l upgrade -d 'Make a log of the original\'s format (version 1) one of this format'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l accept-loss -d 'Forget that a sync failed: what was not durable then may be lost'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand trim" -l wait -d 'How long to wait for others, in all: another maintenance command, the log\'s lock, a writer in the way' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand trim" -s n -l dry-run -d 'Say what would be cut; change nothing'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand trim" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand trim" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l if-size -d 'Only if the segment has at least that many bytes: 64M, 1G' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l if-age -d 'Only if the segment began at least that long ago: 1h, 1d' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l wait -d 'How long to wait for others, in all: another maintenance command, the log\'s lock, a writer that does not finish its append. Compressing and moving have as much again' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l compress -d 'Then compress it, and every final segment that is not compressed yet' -r -f -a "zstd\t'Zstandard, .zst: faster, and smaller'
gzip\t'gzip, .gz: every tool reads it'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l level -d 'From 1, fast, to 22 for zstd (default 3), or 9 for gzip (default 6)' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l olddir -d 'Then move final segments to DIR, which is relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l run -d 'Then run CMD with sh -c for the new segment, and before it for each one for which it did not end with 0 yet' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -s n -l dry-run -d 'Say what would be rotated; change nothing'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l utc -d 'Add the time (UTC) to the segment\'s name: LOG.GENERATION-POSITION-20261121T093000Z'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l keep -d 'Keep the newest N final segments' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l keep-bytes -d 'Keep as many of the newest final segments as take that much of the disk: 64M, 1G. With --punch, that many of the log\'s last bytes' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l keep-age -d 'Keep final segments that became so less than that long ago: 12h, 7d' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l forget -d 'End the hold of that name, and prune nothing' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l wait -d 'How long to wait for others, in all: another maintenance command, whoever holds the log\'s lock or syncs' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l punch -d 'Give back the blocks of the current segment\'s oldest part, up to the first line in the last --keep-bytes bytes; final segments, which are older still, go too'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l keep-unrun -d 'Keep segments for which the command of `rotate --run` did not end with 0 yet, and all behind them'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l force -d 'Also what holds keep'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -s n -l dry-run -d 'Say what would be removed; change nothing'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand segments" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand segments" -l json -d 'One JSON object, {"schema":1,"segments":[...]}: generation, base, end, bytes, allocated, began, changed, final_since, state, compression, held_by, first_kept, path, flaw; and "flaws":[...], what is wrong with old ones: id, path, from, to, problem'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand segments" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand segments" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rm" -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rm" -l force -d 'Remove it although somebody has it open; what they append from then on is lost'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rm" -l all -d 'Also the final segments, which else stay where they are'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rm" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -l dir -d 'Make the scratch directory there [default: where temporary directories are]' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -l all -d 'All of them'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -l list -d 'Say which there are, and what they need'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -l json -d 'One JSON object'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -l keep -d 'Leave the scratch directory, and say where it is'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand drill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l dir -d 'Where the files go: the file system that is measured' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l engine -d 'What is compared [default: all]' -r -f -a "mmlog\t'The log: Writer::append of the library, default options'
mmlog-drop\t'As mmlog, with what is more than 64 MiB behind dropped from the page cache; only with --sustain, or by name'
write\t'One file, O_APPEND, one write(2) a message'
writev\t'As write, each message in two parts by writev(2)'
stdio\t'As write, through a buffer that is flushed after each message'
direct\t'O_DIRECT: a file a worker, blocks of 128 KiB, 8 in flight; what is not in a full block waits in memory'
aio\t'One file, O_APPEND, native AIO (io_submit), one a message'
uring\t'One file, O_APPEND, io_uring, one submission a message, up to 32 in flight'
pwrite\t'One file, pwrite(2) at a cursor that all share'
floor\t'A mapped file a worker, nothing shared: what copying and growing cost'
shared-floor\t'One mapped file and one shared cursor, nothing else'"
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l size -d 'Sizes of a message, 1 to 16M, such as 1,128,4K [default: 1,128,1024,4095,64K]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l processes -d 'Numbers of processes [default: 4]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l threads -d 'Numbers of threads in each process; each appends for itself' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l runs -d 'Runs of each row [default: 7; 15 for messages of up to 16 bytes]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l messages -d 'Messages of each thread in a run [default: as many as take about a quarter of a second]' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l sustain -d 'Append for so long, past the kernel\'s dirty limits, and show what each second brought, and what is in the page cache at the end (--json: bytes_in_each_second, cached_bytes, dirty_bytes). Needs much space; messages of 4096 bytes unless --size says otherwise' -r
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l chart -d 'Draw the medians, an SVG' -r -F
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l full -d 'More sizes and numbers of processes; takes the better part of an hour'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l durable -d 'What durability costs: each message synced (a log\'s together with those of other processes), batches of 64, and every 10 ms; and RocksDB, each synced, if db_bench is installed. Only mmlog and write; messages of 128 bytes unless --size says otherwise'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l growth -d 'What an append costs beside a high base, a longer ring of chunks, idle writers, a follower that reads and one that is stopped, and what idle writers cost a follower\'s look. Only mmlog; messages of 128 bytes, 1 and 4 processes unless --size and --processes say otherwise'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l no-pin -d 'Let the kernel move processes between cores. Otherwise each worker stays on one'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l json -d 'One JSON object, {"schema":1,"rows":[...]}: engine, size_bytes, processes, threads, ns_per_message, ns_min, ns_max, runs, lost_messages, syscalls_per_message, p50_ns, p99_ns, p999_ns, max_ns'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to, and files of different owners'
complete -c mmlogctl -n "__fish_mmlogctl_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
