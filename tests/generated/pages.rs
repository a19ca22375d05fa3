//! What the man pages say beyond the command line's own texts.

/// The extra sections of one page.
#[derive(Default)]
pub(crate) struct Page {
    /// (what it does, the command line).
    pub(crate) examples: &'static [(&'static str, &'static str)],
    pub(crate) caveats: &'static [&'static str],
}

pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "LOG",
        "The data file. Once the last writer has closed it, it holds exactly the bytes that were appended.",
    ),
    ("LOG.mmlog", "The metadata through which all processes share the log; see mmlog(5)."),
];

/// Why the usual tools do not work on a log that somebody writes.
const LIVE_LOG: &[&str] = &[
    "While somebody has the log open for writing, its file ends with preallocated space that reads as NULs, \
     and lines are stored without any event that other tools wait for. So on a live log:",
    "Do not use tail -f of other packages: it prints the NULs and then none of the lines that follow. \
     Use mmlogctl tail -f.",
    "Do not use grep or less on the file: they take it for a binary file. Use mmlogctl grep TEXT LOG and mmlogctl cat LOG | less.",
    "Never let logrotate run with copytruncate on it: the truncation takes the space away under writers \
     that have it mapped. The log is damaged; mmlogctl append ends with an error, programs that do not guard \
     against it die of SIGBUS.",
];

/// What is otherwise than in grep(1).
const GREP: &[&str] = &[
    "-f follows; patterns of a file are -e \"$(cat FILE)\". -h is help; --no-filename has no letter. -R shows the colours of the log's own lines.",
    "Patterns of grep without -E, in which \\| and \\+ have a meaning and | and + have none, are not known. -F takes a pattern as text.",
    "-b prints positions, not offsets in what is read: cat --from takes them. Line numbers begin at the first byte that is kept, so that \
     prune changes them; positions stay.",
];

/// What surprises whoever runs a service with it.
const EXEC: &[&str] = &[
    "If mmlogctl is killed (SIGKILL), CMD goes on: what it has written and nobody has read is lost, and its next write \
     meets a closed pipe.",
    "systemd sends SIGTERM to every process of a unit, and mmlogctl sends it on: KillMode=mixed lets CMD have it \
     once. A signal that a process sends to a whole process group arrives twice in the same way.",
    "SIGTSTP, SIGCONT and SIGWINCH are not sent on: a terminal sends them to CMD itself.",
    "CMD writes to pipes. Many programs then hold lines back until they have a few kilobytes: stdbuf -oL CMD for those that \
     use C's stdio, PYTHONUNBUFFERED=1 for Python, or an option of the program's own.",
];

/// What the sinks promise.
const SHIP: &[&str] = &[
    "A directory is fenced by a lock on its file lock and by the names of its files: a second shipper is refused, also from another host \
     where the file system has locks that hosts share. What is there is as durable as that file system's fsync.",
    "A command is at least once: what it did before the shipper was killed, or before it said that it failed, it does again. Its environment \
     has MMLOG_KIND (content, hole, pruned or lost), MMLOG_UUID, MMLOG_FROM, MMLOG_TO, MMLOG_BYTES, MMLOG_SUM, MMLOG_ID and MMLOG_CUT; for a range without \
     content its standard input is empty.",
    "A sink that acknowledges and then loses it is filled again from the log, as far as the hold reaches: --keep-acked has to be longer than the sink \
     takes to make things durable. A hold that nobody moves keeps old segments for ever: prune names it, and mmlogctl prune --forget ship:NAME ends it.",
    "The file of --config is TOML. Each [[ship]] in it has logs, patterns of absolute paths, of which every file is taken that has metadata beside \
     it; to, where {log} stands for the name of the log without .log and {host} for that of the host; command, where to is exec; checkpoint-dir, \
     where checkpoints are: by default in the service's state directory, or beside the logs; and any option of this page by its name, but for those of one \
     run. credentials and tls-ca without a directory are the service's (LoadCredential=), or lie beside the file. A log that comes is picked up within \
     a second. One that needs a person is said once, tried again every 30 s, and keeps no other from being shipped. All logs together \
     may have 64M on their way, none more than 8M, unless in-flight says otherwise.",
    "The checkpoint, its .lock and its .spare lie beside the log, and are no part of it: rm leaves them.",
];

/// What is left to a person.
const RECEIVE: &[&str] = &[
    "Bytes stand one behind the other in UUID.log; with the ranges of UUID.gaps left out they are those of mmlogctl cat. A log that was made anew, or \
     whose chain a person had begin anew, gets a file of its own.",
    "Old files of the directory that was shipped to may be removed when they were received; the last one stays, since it says where to go on.",
];

/// What its figures are.
const CHECK: &[&str] = &[
    "Nagios takes the figures of one line: give it one LOG a service. Of a log in memory nobody knows how long it was \
     idle: a threshold for it is exit code 3 there.",
    "lag and in_flight are those of one moment. An append is called stalled when it stood still for the 50 ms of the \
     look. For how long it has is told where the kernel knows for how long its process has not run, or the file when it was \
     last stored to; else it is \"at least\" what was seen.",
];

/// What the options of `repair` cost.
const REPAIR: &[&str] = &[
    "--rebuild needs a data file that nobody has open for writing. Positions go on behind the old segments that are \
     found, or begin at 0; the log has a new identity, and holes that were known are forgotten: their bytes read as \
     NULs. Chunk size and number of writers are the defaults. A policy is kept where the old metadata still has it whole; else it is \
     gone, which is said with the command that sets it again.",
    "--recreate loses the positions of the data file that is gone, and says so to whoever follows the log; live \
     writers go on in the new one.",
    "--accept-loss makes nothing durable. Copy the log first: the kernel may still have in memory what the disk did \
     not take.",
    "--forget-missing deletes nothing. What it gives up is passed over from then on, also when the file comes back: put back first what you have.",
];

/// What its figures are.
const STATS: &[&str] = &[
    "Between two times that the log knows nobody knows when which byte was appended. bytes is drawn as if they had come evenly, \
     but for a pause; at_least and at_most (--json) are certain, as far as the clock was.",
    "Which shape a line has is decided by bytes, not by the program that wrote it: two messages that differ in a name have two \
     shapes, and numbers of any kind look alike. Shapes and examples are shown with control characters escaped.",
    "first of a shape is where it came first since it has a count, which is the first time as long as all shapes have one \
     (shapes_distinct is not null).",
];

/// What is real about it.
const DRILL: &[&str] = &[
    "As root it mounts small file systems inside its scratch directory, where others can see them, and unmounts them at \
     its end. SIGTERM and SIGINT end it with all that it has started; after SIGKILL its processes end too, but the \
     scratch directory stays, perhaps with a mount.",
    "Whoever is root can rehearse everything. Others cannot give files away or mount: those incidents are SKIPPED.",
];

/// What the figures of `bench` do not say.
const BENCH: &[&str] = &[
    "Compare ratios, not times: whatever else runs on the machine is in all of them. Ratios are taken round by round.",
    "direct keeps up to 128 KiB of each worker in memory, where neither readers nor a killed process's successors find \
     it; uring has messages in flight when an append returns. What all others append is in the file by then.",
    "The system calls of mmlog are counted by strace in a run of its own, if it is installed; the other engines count \
     their own.",
];

pub(crate) fn of(command: &str) -> Page {
    match command {
        "mmlogctl" => Page {
            examples: &[
                ("Log what a program says, here ls:", "ls -l / 2>&1 | mmlogctl append app.log"),
                ("Follow it:", "mmlogctl tail -f app.log"),
                ("See how the log is:", "mmlogctl status app.log"),
            ],
            caveats: LIVE_LOG,
        },
        "init" => Page {
            examples: &[
                ("Create a log that a group may write:", "mmlogctl init --mode 0660 app.log"),
                ("Go on behind a plain file that exists:", "mmlogctl init --adopt app.log"),
                ("In a start script, whether it exists or not:", "mmlogctl init --chunk-size 64M app.log"),
            ],
            caveats: &[],
        },
        "ship" => Page {
            examples: &[
                (
                    "Ship what there is to a directory, from cron:",
                    "mmlogctl ship --until-now app.log --to file:archive",
                ),
                (
                    "See what would happen, and change nothing:",
                    "mmlogctl ship --check app.log --to file:archive",
                ),
                (
                    "Have a command store each unit under its positions:",
                    "mmlogctl ship --until-now app.log --to exec -- sh -c 'cat > $MMLOG_UUID-$MMLOG_FROM'",
                ),
            ],
            caveats: SHIP,
        },
        "receive" => Page {
            examples: &[
                (
                    "Make logs again of what is there, from cron:",
                    "mmlogctl receive --until-now file:archive --into logs",
                ),
                (
                    "Compare them with the log, byte by byte:",
                    "mmlogctl receive file:archive --into logs --verify app.log",
                ),
            ],
            caveats: RECEIVE,
        },
        "inspect" => Page {
            examples: &[
                ("Watch all logs that processes of this host have open:", "mmlogctl inspect"),
                ("Watch logs, only to look:", "mmlogctl inspect --read-only app.log web.log"),
                ("What the screen would show, for a ticket:", "LINES=60 mmlogctl inspect --once app.log"),
                (
                    "Bytes per second, every two seconds:",
                    "mmlogctl inspect --batch -d 2 --json app.log | jq .rates.bytes_per_second",
                ),
            ],
            caveats: &[
                "A lock, a gate and the map of the file are shown while they are not as usual, and always in the pane of the \
                 lock. On the map, = is written, > in flight, x a hole, . slack, _ punched; whatever needs attention is \
                 shown where several meet in one character.",
                "Who writes into a pipe is found by comparing what /proc says of standard input, output and error, as far as \
                 this user may see that: root sees everybody.",
                "y copies the command of the next step by OSC 52; some terminals, and tmux without set-clipboard, do not take \
                 it.",
                "trim, rotate and repair are run as commands of their own: what they say and their exit status are theirs. \
                 What repair needs an option for is asked for as repair --OPTION.",
            ],
        },
        "append" => Page {
            examples: &[
                ("Log what a program says, here ls:", "ls -l / 2>&1 | mmlogctl append app.log"),
                ("With the time before each line:", "ls -l / | mmlogctl append --timestamp app.log"),
                ("Two programs, one log, told apart:", "seq 5 | mmlogctl append --prefix '[1] ' app.log"),
                ("Collect for a tenth of a second:", "seq 5 | mmlogctl append --linger 100ms app.log"),
                ("A program that takes a minute to stop:", "sleep 1 | mmlogctl append --grace 1m app.log"),
                (
                    "Lose at most a second of it to a power failure:",
                    "seq 5 | mmlogctl append --sync interval=1s app.log",
                ),
            ],
            caveats: LIVE_LOG,
        },
        "exec" => Page {
            examples: &[
                ("Log both streams of a program:", "mmlogctl exec app.log -- ls -l /"),
                (
                    "Told apart:",
                    "mmlogctl exec --prefix 'out: ' --stderr-prefix 'err: ' app.log -- sh -c 'echo a; echo b >&2'",
                ),
                (
                    "In a crontab, with the time before each line:",
                    "mmlogctl exec --timestamp job.log -- df -h",
                ),
                (
                    "In a unit of systemd, with KillMode=mixed:",
                    "ExecStart=/usr/bin/mmlogctl exec /var/log/app/app.log -- /usr/bin/app",
                ),
                ("In a container, whose own log goes on:", "mmlogctl exec --tee /var/log/app.log -- date"),
                (
                    "A program that goes to the background:",
                    "mmlogctl exec --until-closed d.log -- sh -c '(sleep 1; date) &'",
                ),
            ],
            caveats: EXEC,
        },
        "cat" => Page {
            examples: &[
                ("Read it:", "mmlogctl cat app.log | less"),
                ("The last quarter of an hour:", "mmlogctl cat --since 15m app.log"),
                (
                    "What was at 14:05 yesterday:",
                    "mmlogctl cat --since \"yesterday 14:04\" --until \"yesterday 14:06\" app.log | less",
                ),
            ],
            caveats: LIVE_LOG,
        },
        "tail" => Page {
            examples: &[
                ("The last 10 lines, then every new one:", "mmlogctl tail -f app.log"),
                ("Also wait for a log that does not exist yet:", "mmlogctl tail -F app.log"),
                ("Everything from the first line on:", "mmlogctl tail -n +1 app.log"),
                ("All of the last hour, then every new line:", "mmlogctl tail -f --since 1h app.log"),
                ("Every new line for ten minutes:", "mmlogctl tail -f -n 0 --until +10m app.log"),
                (
                    "A collector that goes on where it was after a restart:",
                    "mmlogctl tail -F --cursor-file /var/lib/app.place -o json app.log | jq .text",
                ),
                (
                    "The same, and prune waits for it:",
                    "mmlogctl tail -F --cursor-file /var/lib/app.place --hold jq -o json app.log | jq .text",
                ),
            ],
            caveats: LIVE_LOG,
        },
        "grep" => Page {
            examples: &[
                ("Search a log, its old segments too:", "mmlogctl grep 7 app.log"),
                (
                    "What matches one of two, of the last hour, and the two lines before each:",
                    "mmlogctl grep --since 1h -B2 '^(7|8)$' app.log",
                ),
                ("What is appended, too:", "mmlogctl grep -f -i 2 app.log web.log"),
                (
                    "A text, whatever its characters mean elsewhere:",
                    "mmlogctl grep -F -e 7 -e '[x](y)' app.log",
                ),
                ("The patterns of a file:", "seq 3 >words; mmlogctl grep -F -e \"$(cat words)\" app.log"),
                ("How many lines each log has:", "mmlogctl grep -c 7 app.log web.log"),
                (
                    "Wait until a line comes, a minute at most:",
                    "timeout 60 mmlogctl grep -q -f 7 app.log && echo it is there",
                ),
                (
                    "Look around what was found:",
                    "mmlogctl cat --from \"$(mmlogctl grep -b -m1 7 app.log | cut -d: -f1)\" app.log",
                ),
            ],
            caveats: GREP,
        },
        "check" => Page {
            examples: &[
                ("For Nagios and what understands its plugins:", "mmlogctl check /var/log/app/app.log"),
                (
                    "Warn below 1 GiB of free space and after 10 quiet minutes, be critical below 100 MiB:",
                    "mmlogctl check -w free=1G,idle=10m -c free=100M app.log",
                ),
                (
                    "For Prometheus, each minute from cron, through node_exporter's textfile collector:",
                    "* * * * * root mmlogctl check --prom /var/lib/node_exporter/mmlog.prom /var/log/app/*.log >/dev/null",
                ),
                ("Prove the invariants of a live log:", "mmlogctl check --deep app.log"),
                (
                    "Which do not hold:",
                    "mmlogctl check --deep --json app.log | jq -r '.violations[].invariant'",
                ),
            ],
            caveats: CHECK,
        },
        "repair" => Page {
            examples: &[
                ("What is wrong, and what would be done:", "mmlogctl repair --dry-run app.log"),
                ("Go on after somebody cut or corrupted the file:", "mmlogctl repair app.log"),
                ("Go on after the cause of a panic was found:", "mmlogctl repair --clear-panic app.log"),
                ("The metadata is lost, the data is there:", "mmlogctl repair --rebuild app.log"),
            ],
            caveats: REPAIR,
        },
        "drill" => Page {
            examples: &[
                ("Which incidents there are:", "mmlogctl drill --list"),
                ("Rehearse one, at your own pace:", "mmlogctl drill writer-stalled"),
                ("See that all are named and healed here, in CI:", "mmlogctl drill --all --json"),
            ],
            caveats: DRILL,
        },
        "ls" => Page {
            examples: &[
                ("Those that lie below a directory, open or not:", "mmlogctl ls --only-below ."),
                (
                    "The paths of those that are not OK:",
                    "mmlogctl ls --only-below --json . | jq -r 'select(.path and .state != \"OK\").path'",
                ),
            ],
            caveats: &[
                "A log is found by its metadata file: who has only the data file open, such as another program's tail, has not \
                 opened a log. Who only looks at a log, by status or inspect, does not use it. In a container only its \
                 processes are seen.",
                "A log that has two paths below the DIRs, by a second mount, is listed twice.",
            ],
        },
        "status" => Page {
            examples: &[
                ("How is it, and what to do next:", "mmlogctl status app.log"),
                ("Who has it open for writing:", "mmlogctl status --json app.log | jq '.writers[].pid'"),
            ],
            caveats: &[],
        },
        "policy" => Page {
            examples: &[
                (
                    "Segments of 64 MiB, the newest ten of them, whoever appends:",
                    "mmlogctl policy --set rotate-size=64M --set keep=10 app.log",
                ),
                ("What it is, and what is due next:", "mmlogctl policy app.log"),
                ("Never fill the disk:", "mmlogctl policy --set keep-free=10% app.log"),
                (
                    "Keep all segments again; rotate as before:",
                    "mmlogctl policy --clear=keep --clear=keep-free app.log",
                ),
                ("No policy any more:", "mmlogctl policy --clear app.log"),
            ],
            caveats: &[
                "Older versions of mmlog ignore the policy: they append beyond it, and remove nothing.",
            ],
        },
        "rotate" => Page {
            examples: &[
                (
                    "Every night, from cron; the segment is final, so it can be shipped at once:",
                    "mmlogctl rotate app.log",
                ),
                (
                    "Every few minutes, from cron; once it has 64 MiB, or is a day old:",
                    "mmlogctl rotate --if-size 64M --if-age 24h app.log",
                ),
                (
                    "The same, compressed; then something is told of each new segment:",
                    "mmlogctl rotate --if-size 64M --compress zstd --run 'sha256sum \"$MMLOG_SEGMENT\"' app.log",
                ),
                (
                    "Old segments in a directory of their own, beside the log:",
                    "mkdir old; mmlogctl rotate --olddir old app.log",
                ),
                ("What would be rotated:", "mmlogctl rotate --dry-run app.log"),
            ],
            ..Page::default()
        },
        "prune" => Page {
            examples: &[
                (
                    "Every night, from cron; two weeks, and never more than 10 GiB:",
                    "mmlogctl prune --keep-age 14d --keep-bytes 10G app.log",
                ),
                ("What would be removed, and why:", "mmlogctl prune --keep 7 --dry-run app.log"),
                (
                    "A log that never rotates, in use, on a full disk; its last GiB stays:",
                    "mmlogctl prune --punch --keep-bytes 1G app.log",
                ),
                ("A consumer that will not come back:", "mmlogctl prune --forget shipper app.log"),
            ],
            caveats: &[
                "The head of a data file that was punched reads as NUL bytes to anything but mmlogctl, also when the \
                file has become a final segment.",
            ],
        },
        "stats" => Page {
            examples: &[
                ("How much was appended when, and by whom now:", "mmlogctl stats app.log"),
                ("By the hour, since yesterday:", "mmlogctl stats --by 1h --since yesterday app.log"),
                ("What its lines are like:", "mmlogctl stats --read app.log"),
                (
                    "The commonest shapes of the last ten minutes, for a script:",
                    "mmlogctl stats --read --since 10m --json app.log | jq -c '.read.shapes[] | [.count, .shape]'",
                ),
                (
                    "Who appends most now:",
                    "mmlogctl stats --json app.log | jq '.now.writers[0] | {pid, bytes_per_second}'",
                ),
            ],
            caveats: STATS,
        },
        "segments" => Page {
            examples: &[
                ("What is there, and what keeps it:", "mmlogctl segments app.log"),
                (
                    "Files that have something of yesterday:",
                    "mmlogctl segments --since yesterday --until today app.log",
                ),
                (
                    "Files that can be shipped:",
                    "mmlogctl segments --json app.log | jq -r '.segments[] | select(.state != \"current\").path'",
                ),
            ],
            ..Page::default()
        },
        "trim" => Page {
            examples: &[
                ("What would be cut:", "mmlogctl trim --dry-run app.log"),
                ("From cron, silent when there is nothing to do:", "mmlogctl trim --wait 10s app.log"),
            ],
            caveats: &[],
        },
        "bench" => Page {
            examples: &[
                ("The log against everything else, on the file system of this directory:", "mmlogctl bench"),
                (
                    "Two of them, as a table and as a picture:",
                    "mmlogctl bench --dir /var/log --engine mmlog,write --size 128,4K --chart bench.svg",
                ),
                (
                    "What the disk makes of it in a minute:",
                    "mmlogctl bench --sustain 60s --engine mmlog,write",
                ),
                ("What durability costs:", "mmlogctl bench --durable"),
                ("The log beside two of what people use instead:", "mmlogctl bench --peers=spdlog,s6-log"),
                (
                    "Ratios for a program:",
                    "mmlogctl bench --json | jq '.rows[] | [.engine, .size_bytes, .ns_per_message]'",
                ),
            ],
            caveats: BENCH,
        },
        "rm" => Page {
            examples: &[
                ("Remove a log and its metadata:", "mmlogctl rm app.log"),
                ("Its final segments too:", "mmlogctl rm --all app.log"),
            ],
            caveats: &[],
        },
        _ => Page::default(),
    }
}
