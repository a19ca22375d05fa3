# Completion of mmlogctl for fish. Made from the tool's definition, see tests/generated/completions.

# Logs, which are the files with a .mmlog beside them, and directories on the way to more; where there are none, other
# files. Never metadata, nor what operations leave beside it.
function __mmlogctl_logs
    set -l others
    set -l found 1
    for file in (__fish_complete_path (commandline -ct) | string replace -r '\t.*' '')
        set -l bare (string replace -r '^~/' $HOME/ -- $file)
        if test -d $bare
            printf '%s\tdirectory\n' $file
        else if string match -qr '\.mmlog(-.*)?$' -- $bare
            continue
        else if test -e $bare.mmlog
            set found 0
            printf '%s\tlog\n' $file
        else
            set -a others $file
        end
    end
    if test $found -ne 0
        printf '%s\n' $others
    end
end

# METRIC=VALUE, several with commas between.
function __mmlogctl_metrics
    set -l before (string match -r '^.*,' -- (commandline -ct))
    for metric in file_size writers holes lag in_flight waiting waited dropped slack free inodes idle behind ship_lag ship_age followers reader_lag segments size beyond surplus overdue lock maintenance unsynced
        echo "$before$metric="
    end
end

# The program of exec and its arguments, as fish completes them by themselves.
function __mmlogctl_program
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -l typed (string escape -- $words[(math $at + 1)..]) (commandline -ct)
    complete -C (string join ' ' -- $typed)
end

# The command, if there is one before the cursor.
function __mmlogctl_command
    for word in (commandline -opc)[2..]
        if not string match -q -- '-*' $word
            echo $word
            return 0
        end
    end
    return 1
end

function __mmlogctl_in
    set -l command (__mmlogctl_command)
    and contains -- $command $argv
    and not __mmlogctl_in_program
end

function __mmlogctl_in_program
    test "$(__mmlogctl_command)" = exec
    and contains -- -- (commandline -opc)
end

complete -c mmlogctl -f
complete -c mmlogctl -n __mmlogctl_in_program -a '(__mmlogctl_program)'
complete -c mmlogctl -n 'not __mmlogctl_command' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n 'not __mmlogctl_command' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n 'not __mmlogctl_command' -s V -l version -d 'Print version'
complete -c mmlogctl -n 'not __mmlogctl_command' -a init -d 'Create a log, or check that an existing one has these options'
complete -c mmlogctl -n '__mmlogctl_in help' -a init -d 'Create a log, or check that an existing one has these options'
complete -c mmlogctl -n 'not __mmlogctl_command' -a append -d 'Append standard input to a log'
complete -c mmlogctl -n '__mmlogctl_in help' -a append -d 'Append standard input to a log'
complete -c mmlogctl -n 'not __mmlogctl_command' -a exec -d 'Run a program, and append what it writes to standard output and standard error'
complete -c mmlogctl -n '__mmlogctl_in help' -a exec -d 'Run a program, and append what it writes to standard output and standard error'
complete -c mmlogctl -n 'not __mmlogctl_command' -a cat -d 'Print logs'
complete -c mmlogctl -n '__mmlogctl_in help' -a cat -d 'Print logs'
complete -c mmlogctl -n 'not __mmlogctl_command' -a tail -d 'Print the end of logs, and follow them'
complete -c mmlogctl -n '__mmlogctl_in help' -a tail -d 'Print the end of logs, and follow them'
complete -c mmlogctl -n 'not __mmlogctl_command' -a grep -d 'Search logs, and what is appended to them'
complete -c mmlogctl -n '__mmlogctl_in help' -a grep -d 'Search logs, and what is appended to them'
complete -c mmlogctl -n 'not __mmlogctl_command' -a ls -d 'List the logs of this host'
complete -c mmlogctl -n '__mmlogctl_in help' -a ls -d 'List the logs of this host'
complete -c mmlogctl -n 'not __mmlogctl_command' -a stats -d 'Say how much was appended when, and who appends how much now'
complete -c mmlogctl -n '__mmlogctl_in help' -a stats -d 'Say how much was appended when, and who appends how much now'
complete -c mmlogctl -n 'not __mmlogctl_command' -a status -d 'Say how a log is'
complete -c mmlogctl -n '__mmlogctl_in help' -a status -d 'Say how a log is'
complete -c mmlogctl -n 'not __mmlogctl_command' -a check -d 'Check logs for monitoring'
complete -c mmlogctl -n '__mmlogctl_in help' -a check -d 'Check logs for monitoring'
complete -c mmlogctl -n 'not __mmlogctl_command' -a inspect -d 'Watch logs on a live screen'
complete -c mmlogctl -n '__mmlogctl_in help' -a inspect -d 'Watch logs on a live screen'
complete -c mmlogctl -n 'not __mmlogctl_command' -a repair -d 'Examine a log and mend it'
complete -c mmlogctl -n '__mmlogctl_in help' -a repair -d 'Examine a log and mend it'
complete -c mmlogctl -n 'not __mmlogctl_command' -a trim -d 'Cut off the preallocated space behind the last byte'
complete -c mmlogctl -n '__mmlogctl_in help' -a trim -d 'Cut off the preallocated space behind the last byte'
complete -c mmlogctl -n 'not __mmlogctl_command' -a policy -d 'Show or change the rules by which a log rotates and prunes itself'
complete -c mmlogctl -n '__mmlogctl_in help' -a policy -d 'Show or change the rules by which a log rotates and prunes itself'
complete -c mmlogctl -n 'not __mmlogctl_command' -a rotate -d 'Make what was appended a final segment and go on in a new data file'
complete -c mmlogctl -n '__mmlogctl_in help' -a rotate -d 'Make what was appended a final segment and go on in a new data file'
complete -c mmlogctl -n 'not __mmlogctl_command' -a prune -d 'Remove final segments that are no longer wanted'
complete -c mmlogctl -n '__mmlogctl_in help' -a prune -d 'Remove final segments that are no longer wanted'
complete -c mmlogctl -n 'not __mmlogctl_command' -a segments -d 'List the segments of a log, oldest first'
complete -c mmlogctl -n '__mmlogctl_in help' -a segments -d 'List the segments of a log, oldest first'
complete -c mmlogctl -n 'not __mmlogctl_command' -a rm -d 'Remove a log that nobody has open'
complete -c mmlogctl -n '__mmlogctl_in help' -a rm -d 'Remove a log that nobody has open'
complete -c mmlogctl -n 'not __mmlogctl_command' -a drill -d 'Rehearse incidents'
complete -c mmlogctl -n '__mmlogctl_in help' -a drill -d 'Rehearse incidents'
complete -c mmlogctl -n 'not __mmlogctl_command' -a bench -d 'Compare appending to a log with other ways to append to a file, here and now'
complete -c mmlogctl -n '__mmlogctl_in help' -a bench -d 'Compare appending to a log with other ways to append to a file, here and now'
complete -c mmlogctl -n 'not __mmlogctl_command' -a ship -d 'Ship a log to another place as it grows, each byte once'
complete -c mmlogctl -n '__mmlogctl_in help' -a ship -d 'Ship a log to another place as it grows, each byte once'
complete -c mmlogctl -n 'not __mmlogctl_command' -a receive -d 'Make logs again of what was shipped'
complete -c mmlogctl -n '__mmlogctl_in help' -a receive -d 'Make logs again of what was shipped'
complete -c mmlogctl -n 'not __mmlogctl_command' -a help -d 'Say more of a command'
complete -c mmlogctl -n '__mmlogctl_in help' -a help -d 'Say more of a command'
complete -c mmlogctl -n '__mmlogctl_in init' -l chunk-size -d 'By how much the data file grows at a time, a multiple of the page size [default' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l max-writers -d 'How many writers may have the log open at once [default' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l mode -d 'The permission bits of the files, in octal [default' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l rotate-size -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l rotate-age -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l keep -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l keep-bytes -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l keep-age -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l keep-free -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l hold-max -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l compress -d 'Of a new log' -x -a 'zstd gzip'
complete -c mmlogctl -n '__mmlogctl_in init' -l gate-ms -d 'How long a trim keeps writers waiting before it gives up, in milliseconds [default' -x
complete -c mmlogctl -n '__mmlogctl_in init' -l adopt -d 'Log behind the bytes of a data file that has no metadata'
complete -c mmlogctl -n '__mmlogctl_in init' -l keep-nuls -d 'With --adopt'
complete -c mmlogctl -n '__mmlogctl_in init' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in init' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in init' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in append' -l no-create -d 'Fail when the log does not exist'
complete -c mmlogctl -n '__mmlogctl_in append' -l linger -d 'Collect for up to DUR before appending, so that batches are fewer and bigger' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l max-line -d 'Split a line that is longer than this, and say so. Each piece is a line of exactly SIZE bytes, the last one may be shorter' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l split-mark -d 'Put TEXT at the end of each piece of a split line but the last, so that whoever reads can join them' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l on-full -d 'What to do while the log cannot be made, or cannot grow, because the disk is full' -x -a 'retry fail drop'
complete -c mmlogctl -n '__mmlogctl_in append' -l sync -d 'When to make durable what was stored, against power failures' -x -a 'never always interval='
complete -c mmlogctl -n '__mmlogctl_in append' -l drop-behind -d 'Keep about this much of the log\'s end in the page cache, and write out and drop what lies further behind' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l timestamp -d 'Put the time of storing before each line'
complete -c mmlogctl -n '__mmlogctl_in append' -l prefix -d 'Put TEXT before each line (after the time, if both are asked for)' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l chunk-size -d 'By how much the data file grows at a time, a multiple of the page size [default' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l max-writers -d 'How many writers may have the log open at once [default' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l mode -d 'The permission bits of the files, in octal [default' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l rotate-size -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l rotate-age -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l keep -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l keep-bytes -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l keep-age -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l keep-free -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l hold-max -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in append' -l compress -d 'Of a new log' -x -a 'zstd gzip'
complete -c mmlogctl -n '__mmlogctl_in append' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in append' -l raw -d 'Bytes as they come'
complete -c mmlogctl -n '__mmlogctl_in append' -l tee -d 'Copy to standard output what was stored'
complete -c mmlogctl -n '__mmlogctl_in append' -l tee-ends -d 'The same, and end when the copy cannot be written any more, as in `append --tee-ends app.log | head`'
complete -c mmlogctl -n '__mmlogctl_in append' -l grace -d 'How long to go on reading after SIGTERM, SIGINT or SIGHUP, if the input does not end before' -x
complete -c mmlogctl -n '__mmlogctl_in append' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in append' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in exec' -l no-create -d 'Fail when the log does not exist'
complete -c mmlogctl -n '__mmlogctl_in exec' -l linger -d 'Collect for up to DUR before appending, so that batches are fewer and bigger' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l max-line -d 'Split a line that is longer than this, and say so. Each piece is a line of exactly SIZE bytes, the last one may be shorter' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l split-mark -d 'Put TEXT at the end of each piece of a split line but the last, so that whoever reads can join them' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l on-full -d 'What to do while the log cannot be made, or cannot grow, because the disk is full' -x -a 'retry fail drop'
complete -c mmlogctl -n '__mmlogctl_in exec' -l sync -d 'When to make durable what was stored, against power failures' -x -a 'never always interval='
complete -c mmlogctl -n '__mmlogctl_in exec' -l drop-behind -d 'Keep about this much of the log\'s end in the page cache, and write out and drop what lies further behind' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l timestamp -d 'Put the time of storing before each line'
complete -c mmlogctl -n '__mmlogctl_in exec' -l prefix -d 'Put TEXT before each line (after the time, if both are asked for)' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l chunk-size -d 'By how much the data file grows at a time, a multiple of the page size [default' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l max-writers -d 'How many writers may have the log open at once [default' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l mode -d 'The permission bits of the files, in octal [default' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l rotate-size -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l rotate-age -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l keep -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l keep-bytes -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l keep-age -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l keep-free -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l hold-max -d 'Of a new log' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l compress -d 'Of a new log' -x -a 'zstd gzip'
complete -c mmlogctl -n '__mmlogctl_in exec' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in exec' -l stderr-prefix -d 'Put TEXT before each line of standard error, instead of that of --prefix' -x
complete -c mmlogctl -n '__mmlogctl_in exec' -l tee -d 'Copy what was stored'
complete -c mmlogctl -n '__mmlogctl_in exec' -l tee-ends -d 'The same, and when a copy cannot be written any more, close the pipe of that stream'
complete -c mmlogctl -n '__mmlogctl_in exec' -l until-closed -d 'Go on after CMD has ended, until all processes have closed the output that they inherited from it, or until SIGTERM, SIGINT or SIGQUIT'
complete -c mmlogctl -n '__mmlogctl_in exec' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in exec' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in cat' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in cat' -l from -d 'Start at this position instead of the oldest one that is kept' -x
complete -c mmlogctl -n '__mmlogctl_in cat' -l to -d 'Stop before this position' -x
complete -c mmlogctl -n '__mmlogctl_in cat' -l since -d 'Begin with what was appended then or later' -x
complete -c mmlogctl -n '__mmlogctl_in cat' -l until -d 'End with what was appended until then' -x
complete -c mmlogctl -n '__mmlogctl_in cat' -s v -l verbose -d 'With --since and --until, say how far the ends may be from these times'
complete -c mmlogctl -n '__mmlogctl_in cat' -l holes -d 'What to print for a hole, a range whose writer ended before it was written' -x -a 'skip nul say'
complete -c mmlogctl -n '__mmlogctl_in cat' -s o -l output -d 'The form of the output' -x -a 'text json'
complete -c mmlogctl -n '__mmlogctl_in cat' -l max-line -d 'With -o json, give a longer line in pieces of so many bytes' -x
complete -c mmlogctl -n '__mmlogctl_in cat' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in cat' -s R -l raw -d 'On a terminal, show the colours of the log\'s own lines (SGR sequences)'
complete -c mmlogctl -n '__mmlogctl_in cat' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in cat' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in cat' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in tail' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in tail' -s n -l lines -d 'Print the last N lines (without this option 10, with --since all), or with +N all from line N on' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -s c -l bytes -d 'Print the last N bytes, or with +N all from byte N on' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -s f -l follow -d 'Print what is appended, as soon as it is' -f -a 'descriptor name'
complete -c mmlogctl -n '__mmlogctl_in tail' -s F -d 'As --follow=name --retry'
complete -c mmlogctl -n '__mmlogctl_in tail' -l retry -d 'With -f, wait for a log that does not exist yet'
complete -c mmlogctl -n '__mmlogctl_in tail' -s s -l sleep-interval -d 'Accepted for the sake of tail(1), and without meaning' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -s q -l quiet -l silent -d 'Never print whose lines follow'
complete -c mmlogctl -n '__mmlogctl_in tail' -s v -l verbose -d 'Always print whose lines follow'
complete -c mmlogctl -n '__mmlogctl_in tail' -l pid -d 'With -f or -F, end when this process has ended' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -l from -d 'Start at this position' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -l since -d 'Begin with what was appended then or later' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -l until -d 'End with what was appended until then' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -l cursor-file -d 'Start where this file says, and keep in it how far the output has come' -r -F
complete -c mmlogctl -n '__mmlogctl_in tail' -l hold -d 'Keep prune from what this consumer has not read yet, under this name' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -l ack -d 'With -o json, keep in the cursor-file only what the consumer acknowledges on this descriptor' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -l until-now -d 'Print everything that is final now, from the start or where -n, -c, --from or --cursor-file say, then end'
complete -c mmlogctl -n '__mmlogctl_in tail' -s o -l output -d 'The form of the output' -x -a 'text json'
complete -c mmlogctl -n '__mmlogctl_in tail' -l max-line -d 'With -o json, give a longer line in pieces of so many bytes' -x
complete -c mmlogctl -n '__mmlogctl_in tail' -s z -l zero-terminated -d 'Lines end with NUL, not newline'
complete -c mmlogctl -n '__mmlogctl_in tail' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in tail' -s R -l raw -d 'On a terminal, show the colours of the log\'s own lines (SGR sequences)'
complete -c mmlogctl -n '__mmlogctl_in tail' -l holes -d 'What to print for a hole, a range whose writer ended before it was written' -x -a 'skip nul say'
complete -c mmlogctl -n '__mmlogctl_in tail' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in tail' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in tail' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in grep' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in grep' -s e -l regexp -d 'What to look for' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -s E -l extended-regexp -d 'Patterns are regular expressions, as they are without this option'
complete -c mmlogctl -n '__mmlogctl_in grep' -s F -l fixed-strings -d 'Patterns are texts, not regular expressions'
complete -c mmlogctl -n '__mmlogctl_in grep' -s i -l ignore-case -d 'Small and capital letters are the same'
complete -c mmlogctl -n '__mmlogctl_in grep' -s w -l word-regexp -d 'Match whole words only'
complete -c mmlogctl -n '__mmlogctl_in grep' -s x -l line-regexp -d 'Match whole lines only'
complete -c mmlogctl -n '__mmlogctl_in grep' -s v -l invert-match -d 'Select the lines in which nothing matches'
complete -c mmlogctl -n '__mmlogctl_in grep' -s c -l count -d 'Print how many lines of each log are selected, not the lines'
complete -c mmlogctl -n '__mmlogctl_in grep' -s o -l only-matching -d 'Print what matched and not its line, each match in a line'
complete -c mmlogctl -n '__mmlogctl_in grep' -s q -l quiet -l silent -d 'Print nothing, end with 0 at the first line that is selected, also after trouble'
complete -c mmlogctl -n '__mmlogctl_in grep' -s m -l max-count -d 'Stop with a log after NUM selected lines' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -s A -l after-context -d 'Print also NUM lines that come after each selected one' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -s B -l before-context -d 'Print also NUM lines that come before each selected one' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -s C -l context -d 'As -A NUM -B NUM' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -s n -l line-number -d 'Print the number of each line, counted from the first byte that is read'
complete -c mmlogctl -n '__mmlogctl_in grep' -s b -l byte-offset -d 'Print the position in the log of each line, with -o of each match'
complete -c mmlogctl -n '__mmlogctl_in grep' -s H -l with-filename -d 'Print the log\'s name before each line'
complete -c mmlogctl -n '__mmlogctl_in grep' -l no-filename -d 'Never print the log\'s name'
complete -c mmlogctl -n '__mmlogctl_in grep' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in grep' -s R -l raw -d 'On a terminal, show the colours of the log\'s own lines (SGR sequences)'
complete -c mmlogctl -n '__mmlogctl_in grep' -s f -l follow -d 'Search what is appended too, as soon as a line is complete, until told to end'
complete -c mmlogctl -n '__mmlogctl_in grep' -l from -d 'Start at this position instead of the oldest one that is kept' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -l to -d 'Stop before this position' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -l since -d 'Begin with what was appended then or later' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -l until -d 'End with what was appended until then' -x
complete -c mmlogctl -n '__mmlogctl_in grep' -l verbose -d 'With --since and --until, say how far the ends may be from these times'
complete -c mmlogctl -n '__mmlogctl_in grep' -l holes -d 'What to search for a hole, a range whose writer ended before it was written' -x -a 'skip nul say'
complete -c mmlogctl -n '__mmlogctl_in grep' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in grep' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in ls' -l only-below -d 'Only what lies below the DIRs, not what processes have open elsewhere'
complete -c mmlogctl -n '__mmlogctl_in ls' -l cross-mounts -d 'Also below what is mounted in the DIRs'
complete -c mmlogctl -n '__mmlogctl_in ls' -l json -d 'One JSON object for each log, one per line'
complete -c mmlogctl -n '__mmlogctl_in ls' -l exit-code -d 'End with the exit code that check would have for all of them'
complete -c mmlogctl -n '__mmlogctl_in ls' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in ls' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in ls' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in ls' -k -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in stats' -l by -d 'How long an interval is' -x
complete -c mmlogctl -n '__mmlogctl_in stats' -l since -d 'Begin with what was appended then or later' -x
complete -c mmlogctl -n '__mmlogctl_in stats' -l until -d 'End with what was appended until then' -x
complete -c mmlogctl -n '__mmlogctl_in stats' -l read -d 'Read the log, too'
complete -c mmlogctl -n '__mmlogctl_in stats' -l json -d 'One JSON object for each log, one per line'
complete -c mmlogctl -n '__mmlogctl_in stats' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in stats' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in stats' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in stats' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in status' -l json -d 'One JSON object for each log, one per line'
complete -c mmlogctl -n '__mmlogctl_in status' -l exit-code -d 'End with the exit code that check would have'
complete -c mmlogctl -n '__mmlogctl_in status' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in status' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in status' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in status' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in status' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in check' -s w -l warning -d 'Warn when METRIC is above VALUE (file_size, writers, holes, lag, in_flight, waiting, waited, dropped, slack, idle, behind, ship_lag, ship_age, followers, reader_lag, segments, size, beyond, surplus, overdue, lock, maintenance, unsynced), or below it (free, inodes). Sizes as 64M (K is 1024, up to P and E), durations as 5m, 1d12h or 2w. May be given more than once' -x -a '(__mmlogctl_metrics)'
complete -c mmlogctl -n '__mmlogctl_in check' -s c -l critical -d 'The same for critical' -x -a '(__mmlogctl_metrics)'
complete -c mmlogctl -n '__mmlogctl_in check' -l prom -d 'Write metrics of all LOGs to FILE, in the text format of Prometheus' -r -F
complete -c mmlogctl -n '__mmlogctl_in check' -l deep -d 'Check the invariants, and read all of the data'
complete -c mmlogctl -n '__mmlogctl_in check' -l json -d 'One JSON object for each log, one per line'
complete -c mmlogctl -n '__mmlogctl_in check' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in check' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in check' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in check' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in check' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in inspect' -s d -l interval -d 'Between two looks' -x
complete -c mmlogctl -n '__mmlogctl_in inspect' -l once -d 'Print one frame as plain text and exit, with the exit code that status would have'
complete -c mmlogctl -n '__mmlogctl_in inspect' -l batch -d 'Print a frame as plain text at each interval'
complete -c mmlogctl -n '__mmlogctl_in inspect' -l json -d 'With --batch or --once'
complete -c mmlogctl -n '__mmlogctl_in inspect' -s n -l count -d 'With --batch' -x
complete -c mmlogctl -n '__mmlogctl_in inspect' -l read-only -d 'No operations, nor keys for them'
complete -c mmlogctl -n '__mmlogctl_in inspect' -l utc -d 'Tell times in UTC, not in the local time'
complete -c mmlogctl -n '__mmlogctl_in inspect' -l no-mouse -d 'Leave the mouse to the terminal, which selects text with it'
complete -c mmlogctl -n '__mmlogctl_in inspect' -l color -d 'When to use colours' -x -a 'auto always never'
complete -c mmlogctl -n '__mmlogctl_in inspect' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in inspect' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in inspect' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in repair' -s n -l dry-run -d 'Say what was found and what would be done'
complete -c mmlogctl -n '__mmlogctl_in repair' -l json -d 'One JSON object'
complete -c mmlogctl -n '__mmlogctl_in repair' -l clear-panic -d 'Take the panic flag away, if every invariant holds'
complete -c mmlogctl -n '__mmlogctl_in repair' -l rebuild -d 'Make new metadata from the data file, when there is none or none that can be believed'
complete -c mmlogctl -n '__mmlogctl_in repair' -l recreate -d 'Make an empty data file behind the lost positions, when it is gone'
complete -c mmlogctl -n '__mmlogctl_in repair' -l upgrade -d 'Make a log of the original\'s format (version 1) one of this format'
complete -c mmlogctl -n '__mmlogctl_in repair' -l accept-loss -d 'Forget that a sync failed'
complete -c mmlogctl -n '__mmlogctl_in repair' -l forget-missing -d 'Give up old segments that are missing and never come back'
complete -c mmlogctl -n '__mmlogctl_in repair' -l wait -d 'How long to wait for others, in all' -x
complete -c mmlogctl -n '__mmlogctl_in repair' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in repair' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in repair' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in repair' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in trim' -s n -l dry-run -d 'Say what would be cut'
complete -c mmlogctl -n '__mmlogctl_in trim' -l wait -d 'How long to wait for others, for each log in all' -x
complete -c mmlogctl -n '__mmlogctl_in trim' -s v -l verbose -d 'Say what was done, a line or more for each log, also where standard output is no terminal, and where there was nothing to do'
complete -c mmlogctl -n '__mmlogctl_in trim' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in trim' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in trim' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in policy' -l set -d 'Set a rule, and leave the others as they are' -x -a 'rotate-size= rotate-age= keep= keep-bytes= keep-age= keep-free= hold-max= compress='
complete -c mmlogctl -n '__mmlogctl_in policy' -l clear -d 'Take a rule away, or, without RULE, all of them, before any is set' -f -a 'rotate-size rotate-age keep keep-bytes keep-age keep-free hold-max compress'
complete -c mmlogctl -n '__mmlogctl_in policy' -l json -d 'One JSON object for each log, one per line'
complete -c mmlogctl -n '__mmlogctl_in policy' -l wait -d 'How long to wait for another maintenance command, for each log' -x
complete -c mmlogctl -n '__mmlogctl_in policy' -s v -l verbose -d 'Say what was done, a line or more for each log, also where standard output is no terminal, and where there was nothing to do'
complete -c mmlogctl -n '__mmlogctl_in policy' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in policy' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in policy' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in policy' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in rotate' -s n -l dry-run -d 'Say what would be rotated'
complete -c mmlogctl -n '__mmlogctl_in rotate' -l if-size -d 'Only if the segment has at least that many bytes' -x
complete -c mmlogctl -n '__mmlogctl_in rotate' -l if-age -d 'Only if the segment began at least that long ago' -x
complete -c mmlogctl -n '__mmlogctl_in rotate' -l if-due -d 'Only if the log\'s own policy says so, see mmlogctl-policy(1)'
complete -c mmlogctl -n '__mmlogctl_in rotate' -l wait -d 'How long to wait for others, for each log in all' -x
complete -c mmlogctl -n '__mmlogctl_in rotate' -l utc -d 'Add the time (UTC) to the segment\'s name'
complete -c mmlogctl -n '__mmlogctl_in rotate' -l compress -d 'Then compress it, and every final segment that is not compressed yet' -x -a 'zstd gzip'
complete -c mmlogctl -n '__mmlogctl_in rotate' -l level -d 'From 1, fast, to 22 for zstd (default 3), or 9 for gzip (default 6)' -x
complete -c mmlogctl -n '__mmlogctl_in rotate' -l olddir -d 'Then move final segments to DIR, which is relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in rotate' -l run -d 'Then run CMD with sh -c for the new segment, and before it for each one for which it did not end with 0 yet' -x
complete -c mmlogctl -n '__mmlogctl_in rotate' -s v -l verbose -d 'Say what was done, a line or more for each log, also where standard output is no terminal, and where there was nothing to do'
complete -c mmlogctl -n '__mmlogctl_in rotate' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in rotate' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in rotate' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in prune' -l keep -d 'Keep the newest N final segments' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -l keep-bytes -d 'Keep as many of the newest final segments as take that much of the disk' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -l keep-age -d 'Keep final segments that became so less than that long ago' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -l keep-free -d 'While the file system has less free space, the oldest go, also those that the other rules keep' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -l hold-max -d 'A hold that lags by more bytes keeps nothing. It stays' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -l policy -d 'What the log\'s own policy keeps, see mmlogctl-policy(1). A log without one is left as it is'
complete -c mmlogctl -n '__mmlogctl_in prune' -l punch -d 'Give back the blocks of the current segment\'s oldest part, up to the first line in the last --keep-bytes bytes'
complete -c mmlogctl -n '__mmlogctl_in prune' -l keep-unrun -d 'Keep segments for which the command of `rotate --run` did not end with 0 yet, and all behind them'
complete -c mmlogctl -n '__mmlogctl_in prune' -l force -d 'Also what holds keep'
complete -c mmlogctl -n '__mmlogctl_in prune' -l forget -d 'End the hold of that name in each LOG' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -s n -l dry-run -d 'Say what would be removed'
complete -c mmlogctl -n '__mmlogctl_in prune' -l wait -d 'How long to wait for others, for each log in all' -x
complete -c mmlogctl -n '__mmlogctl_in prune' -s v -l verbose -d 'Say what was done, a line or more for each log, also where standard output is no terminal, and where there was nothing to do'
complete -c mmlogctl -n '__mmlogctl_in prune' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in prune' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in prune' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in prune' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in segments' -l json -d 'One JSON object for each log, one per line'
complete -c mmlogctl -n '__mmlogctl_in segments' -l since -d 'Begin with what was appended then or later' -x
complete -c mmlogctl -n '__mmlogctl_in segments' -l until -d 'End with what was appended until then' -x
complete -c mmlogctl -n '__mmlogctl_in segments' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in segments' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in segments' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in segments' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in rm' -l force -d 'Remove it although somebody has it open'
complete -c mmlogctl -n '__mmlogctl_in rm' -l all -d 'Also the final segments, which else stay where they are'
complete -c mmlogctl -n '__mmlogctl_in rm' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in rm' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in rm' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in rm' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in drill' -l all -d 'All of them'
complete -c mmlogctl -n '__mmlogctl_in drill' -l list -d 'Say which there are, and what they need'
complete -c mmlogctl -n '__mmlogctl_in drill' -l json -d 'One JSON object'
complete -c mmlogctl -n '__mmlogctl_in drill' -l dir -d 'Make the scratch directory there [default' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in drill' -l keep -d 'Leave the scratch directory, and say where it is'
complete -c mmlogctl -n '__mmlogctl_in drill' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in drill' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in drill' -k -a 'panicked unreadable log-removed metadata-removed metadata-moved data-gone data-removed data-moved data-replaced-in-use logrotate data-replaced data-truncated metadata-copied overlay-view owners-differ segment-missing segment-damaged positions unknown-operation sync-failed version-1-flag read-only disk-full disk-full-held lock-held maintenance-held writer-stalled gate-closed disk-nearly-full dead-writer lock-stale writers-full follower-behind hold-keeps hold-stopped segment-unreadable segment-surplus leftover unseen idle version-1 recovered not-recovered space-held former-log holes slack outside-bytes outside-cut hooks-unrun name-too-long writer-stopped frozen-v1 frozen-v2 disk-frozen file-size-limit dropping quota-full storage-fails inodes-used-up append-failed reader-behind reader-stands followers-full rotation-overdue policy-not-trusted pruning-overdue free-space-not-freed policy-damaged outside-live sink-away sink-refuses shipper-ended'
complete -c mmlogctl -n '__mmlogctl_in bench' -l dir -d 'Where the files go' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in bench' -l engine -d 'What is compared [default' -x -a 'mmlog mmlog-drop batched write writev stdio buffered direct aio uring pwrite floor shared-floor'
complete -c mmlogctl -n '__mmlogctl_in bench' -l size -d 'Sizes of a message, 1 to 16M, such as 1,128,4K [default' -x
complete -c mmlogctl -n '__mmlogctl_in bench' -l processes -d 'Numbers of processes [default' -x
complete -c mmlogctl -n '__mmlogctl_in bench' -l threads -d 'Numbers of threads in each process' -x
complete -c mmlogctl -n '__mmlogctl_in bench' -l runs -d 'Runs of each row [default' -x
complete -c mmlogctl -n '__mmlogctl_in bench' -l messages -d 'Messages of each thread in a run [default' -x
complete -c mmlogctl -n '__mmlogctl_in bench' -l full -d 'More sizes and numbers of processes'
complete -c mmlogctl -n '__mmlogctl_in bench' -l sustain -d 'Append for so long, past the kernel\'s dirty limits, and show what each second brought, and what is in the page cache at the end (--json' -x
complete -c mmlogctl -n '__mmlogctl_in bench' -l durable -d 'What durability costs'
complete -c mmlogctl -n '__mmlogctl_in bench' -l growth -d 'What an append costs beside a high base, a longer ring of chunks, idle writers, a follower that reads and one that is stopped, and what idle writers cost a follower\'s look. Only mmlog'
complete -c mmlogctl -n '__mmlogctl_in bench' -l burst -d 'What a call takes that comes in a burst'
complete -c mmlogctl -n '__mmlogctl_in bench' -l peers -d 'Beside mmlog and write (or --engine), what people use instead' -f
complete -c mmlogctl -n '__mmlogctl_in bench' -l no-pin -d 'Let the kernel move processes between cores'
complete -c mmlogctl -n '__mmlogctl_in bench' -l json -d 'One JSON object, {"schema"'
complete -c mmlogctl -n '__mmlogctl_in bench' -l chart -d 'Draw the medians, an SVG' -r -F
complete -c mmlogctl -n '__mmlogctl_in bench' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in bench' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in ship' -l to -d 'Where to' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l config -d 'Ship the logs that FILE names, each as it says there, and those that come' -r -F
complete -c mmlogctl -n '__mmlogctl_in ship' -l name -d 'The shipper\'s name' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l checkpoint -d 'Where is written down what the sink has acknowledged. Default' -r -F
complete -c mmlogctl -n '__mmlogctl_in ship' -l from -d 'Where a first start begins' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l unit -d 'The longest unit' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l linger -d 'What comes in so long is synced and sent together' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l linger-partial -d 'A last line without its end is sent after so long' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l in-flight -d 'Bytes that may be sent and not acknowledged' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l keep-acked -d 'What the sink has acknowledged is kept for so long' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l sync -d 'Who makes bytes durable' -x -a 'own wait'
complete -c mmlogctl -n '__mmlogctl_in ship' -l timeout -d 'A sink that does not answer for so long is left, and connected to again' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l drain -d 'After SIGTERM or SIGINT, what is on its way is waited for so long' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l rotate-after -d 'Where segments are shipped, a log whose segment began so long ago is rotated' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l until-now -d 'Ship what is there, and end'
complete -c mmlogctl -n '__mmlogctl_in ship' -l give-up -d 'With --until-now' -x
complete -c mmlogctl -n '__mmlogctl_in ship' -l check -d 'Connect, look, say what would happen, and change nothing'
complete -c mmlogctl -n '__mmlogctl_in ship' -l accept-gap -d 'Announce to the sink what was pruned before it was shipped, and go on'
complete -c mmlogctl -n '__mmlogctl_in ship' -l accept-fork -d 'Begin a new chain behind the history that the sink has'
complete -c mmlogctl -n '__mmlogctl_in ship' -l sink-is-new -d 'What a sink that has forgotten everything is to have' -x -a 'restart continue'
complete -c mmlogctl -n '__mmlogctl_in ship' -l credentials -d 'What it takes to be let in by a server' -r -F
complete -c mmlogctl -n '__mmlogctl_in ship' -l tls-ca -d 'Certificates of who signs for the servers, in PEM. Default' -r -F
complete -c mmlogctl -n '__mmlogctl_in ship' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in ship' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in ship' -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mmlogctl -n '__mmlogctl_in ship' -k -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in receive' -l into -d 'The directory of what is received' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in receive' -l label -d 'Stands before the names of files' -x
complete -c mmlogctl -n '__mmlogctl_in receive' -l until-now -d 'Receive what is there, and end'
complete -c mmlogctl -n '__mmlogctl_in receive' -l give-up -d 'With --until-now' -x
complete -c mmlogctl -n '__mmlogctl_in receive' -l timeout -d 'A source that does not answer for so long is left, and connected to again' -x
complete -c mmlogctl -n '__mmlogctl_in receive' -l verify -d 'Compare what was received with LOG, byte by byte' -x -a '(__mmlogctl_logs)'
complete -c mmlogctl -n '__mmlogctl_in receive' -l accept-gap -d 'Make a gap of what is gone from the source before it was received'
complete -c mmlogctl -n '__mmlogctl_in receive' -l credentials -d 'What it takes to be let in by a server' -r -F
complete -c mmlogctl -n '__mmlogctl_in receive' -l tls-ca -d 'Certificates of who signs for the servers, in PEM. Default' -r -F
complete -c mmlogctl -n '__mmlogctl_in receive' -l olddir -d 'Old segments are in DIR, relative to the log\'s directory' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c mmlogctl -n '__mmlogctl_in receive' -l trust-path -d 'Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners'
complete -c mmlogctl -n '__mmlogctl_in receive' -s h -l help -d 'Print help (see more with \'--help\')'
