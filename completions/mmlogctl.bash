# Completion of mmlogctl for bash. Made from the tool's definition, see tests/generated/completions.

# Logs, which are the files with a .mmlog beside them, and directories on the way to more; where there are none, other
# files. Never metadata, nor what operations leave beside it.
_mmlogctl_logs() {
    local file bare
    local -a logs=() directories=() others=()
    compopt -o filenames 2>/dev/null
    while IFS= read -r file; do
        bare=${file/#\~\//$HOME/}
        if [[ -d $bare ]]; then
            directories+=("$file")
        elif [[ $bare == *.mmlog || $bare == *.mmlog-* ]]; then
            continue
        elif [[ -e $bare.mmlog ]]; then
            logs+=("$file")
        else
            others+=("$file")
        fi
    done < <(compgen -f -- "$1")
    if ((${#logs[@]})); then
        COMPREPLY=("${logs[@]}" "${directories[@]}")
    else
        COMPREPLY=("${directories[@]}" "${others[@]}")
    fi
}

_mmlogctl_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_mmlogctl_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
    # What ends with = goes on.
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}

# METRIC=VALUE, several with commas between.
_mmlogctl_metrics() {
    local before=
    [[ $1 == *,* ]] && before=${1%,*},
    [[ ${1##*,} == *=* ]] && return
    compopt -o nospace 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "file_size= writers= holes= lag= in_flight= waiting= waited= dropped= slack= free= inodes= idle= behind= ship_lag= ship_age= followers= reader_lag= segments= size= beyond= surplus= overdue= lock= maintenance= unsynced=" -- "${1##*,}")
}

# The program of exec, whose name is word number $1.
_mmlogctl_program() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        _mmlogctl_files -f "${COMP_WORDS[COMP_CWORD]}"
    fi
}

_mmlogctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word options i
    local commands="init append exec cat tail grep ls stats status check inspect repair trim policy rotate prune segments rm drill bench ship receive help"
    COMPREPLY=()
    # Readline makes a word of each "=".
    if [[ $cur == = ]]; then
        cur=
        [[ $prev == -* ]] || return
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
        if [[ $prev != -* ]]; then
            case ${COMP_WORDS[COMP_CWORD - 3]} in
                -w | -c | --warning | --critical) [[ $cur == *,* ]] && _mmlogctl_metrics "$cur" ;;
            esac
            return
        fi
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -z $command ]]; then
            [[ $word == -* ]] || command=$word
        elif [[ $command == exec && $word == -- ]]; then
            _mmlogctl_program $((i + 1))
            return
        fi
    done
    case $command in
        "")
            if [[ $cur == -* ]]; then _mmlogctl_words "--trust-path --help --version -h -V" "$cur"; else _mmlogctl_words "$commands" "$cur"; fi
            return
            ;;
        help)
            _mmlogctl_words "$commands" "$cur"
            return
            ;;
        init)
            options="--chunk-size --max-writers --mode --rotate-size --rotate-age --keep --keep-bytes --keep-age --keep-free --hold-max --compress --gate-ms --adopt --keep-nuls --trust-path --help -h"
            case $prev in
                --chunk-size)
                    :
                    return
                    ;;
                --max-writers)
                    :
                    return
                    ;;
                --mode)
                    :
                    return
                    ;;
                --rotate-size)
                    :
                    return
                    ;;
                --rotate-age)
                    :
                    return
                    ;;
                --keep)
                    :
                    return
                    ;;
                --keep-bytes)
                    :
                    return
                    ;;
                --keep-age)
                    :
                    return
                    ;;
                --keep-free)
                    :
                    return
                    ;;
                --hold-max)
                    :
                    return
                    ;;
                --compress)
                    _mmlogctl_words "zstd gzip" "$cur"
                    return
                    ;;
                --gate-ms)
                    :
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        append)
            options="--no-create --linger --max-line --split-mark --on-full --sync --drop-behind --timestamp --prefix --chunk-size --max-writers --mode --rotate-size --rotate-age --keep --keep-bytes --keep-age --keep-free --hold-max --compress --trust-path --raw --tee --tee-ends --grace --help -h"
            case $prev in
                --linger)
                    :
                    return
                    ;;
                --max-line)
                    :
                    return
                    ;;
                --split-mark)
                    :
                    return
                    ;;
                --on-full)
                    _mmlogctl_words "retry fail drop" "$cur"
                    return
                    ;;
                --sync)
                    _mmlogctl_words "never always interval=" "$cur"
                    return
                    ;;
                --drop-behind)
                    :
                    return
                    ;;
                --prefix)
                    :
                    return
                    ;;
                --chunk-size)
                    :
                    return
                    ;;
                --max-writers)
                    :
                    return
                    ;;
                --mode)
                    :
                    return
                    ;;
                --rotate-size)
                    :
                    return
                    ;;
                --rotate-age)
                    :
                    return
                    ;;
                --keep)
                    :
                    return
                    ;;
                --keep-bytes)
                    :
                    return
                    ;;
                --keep-age)
                    :
                    return
                    ;;
                --keep-free)
                    :
                    return
                    ;;
                --hold-max)
                    :
                    return
                    ;;
                --compress)
                    _mmlogctl_words "zstd gzip" "$cur"
                    return
                    ;;
                --grace)
                    :
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        exec)
            options="--no-create --linger --max-line --split-mark --on-full --sync --drop-behind --timestamp --prefix --chunk-size --max-writers --mode --rotate-size --rotate-age --keep --keep-bytes --keep-age --keep-free --hold-max --compress --trust-path --stderr-prefix --tee --tee-ends --until-closed --help -h"
            case $prev in
                --linger)
                    :
                    return
                    ;;
                --max-line)
                    :
                    return
                    ;;
                --split-mark)
                    :
                    return
                    ;;
                --on-full)
                    _mmlogctl_words "retry fail drop" "$cur"
                    return
                    ;;
                --sync)
                    _mmlogctl_words "never always interval=" "$cur"
                    return
                    ;;
                --drop-behind)
                    :
                    return
                    ;;
                --prefix)
                    :
                    return
                    ;;
                --chunk-size)
                    :
                    return
                    ;;
                --max-writers)
                    :
                    return
                    ;;
                --mode)
                    :
                    return
                    ;;
                --rotate-size)
                    :
                    return
                    ;;
                --rotate-age)
                    :
                    return
                    ;;
                --keep)
                    :
                    return
                    ;;
                --keep-bytes)
                    :
                    return
                    ;;
                --keep-age)
                    :
                    return
                    ;;
                --keep-free)
                    :
                    return
                    ;;
                --hold-max)
                    :
                    return
                    ;;
                --compress)
                    _mmlogctl_words "zstd gzip" "$cur"
                    return
                    ;;
                --stderr-prefix)
                    :
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        cat)
            options="--trust-path --from --to --since --until --verbose --holes --output --max-line --color --raw --olddir --help -v -o -R -h"
            case $prev in
                --from)
                    :
                    return
                    ;;
                --to)
                    :
                    return
                    ;;
                --since)
                    :
                    return
                    ;;
                --until)
                    :
                    return
                    ;;
                --holes)
                    _mmlogctl_words "skip nul say" "$cur"
                    return
                    ;;
                -o | --output)
                    _mmlogctl_words "text json" "$cur"
                    return
                    ;;
                --max-line)
                    :
                    return
                    ;;
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        tail)
            options="--trust-path --lines --bytes --follow --retry --sleep-interval --quiet --silent --verbose --pid --from --since --until --cursor-file --hold --ack --until-now --output --max-line --zero-terminated --color --raw --holes --olddir --help -n -c -f -F -s -q -v -o -z -R -h"
            case $prev in
                -n | --lines)
                    :
                    return
                    ;;
                -c | --bytes)
                    :
                    return
                    ;;
                --follow)
                    [[ ${COMP_WORDS[COMP_CWORD - 1]} == = || ${COMP_WORDS[COMP_CWORD]} == = ]] && { _mmlogctl_words "descriptor name" "$cur"; return; }
                    ;;
                -s | --sleep-interval)
                    :
                    return
                    ;;
                --pid)
                    :
                    return
                    ;;
                --from)
                    :
                    return
                    ;;
                --since)
                    :
                    return
                    ;;
                --until)
                    :
                    return
                    ;;
                --cursor-file)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --hold)
                    :
                    return
                    ;;
                --ack)
                    :
                    return
                    ;;
                -o | --output)
                    _mmlogctl_words "text json" "$cur"
                    return
                    ;;
                --max-line)
                    :
                    return
                    ;;
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
                --holes)
                    _mmlogctl_words "skip nul say" "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        grep)
            options="--trust-path --regexp --extended-regexp --fixed-strings --ignore-case --word-regexp --line-regexp --invert-match --count --only-matching --quiet --silent --max-count --after-context --before-context --context --line-number --byte-offset --with-filename --no-filename --color --raw --follow --from --to --since --until --verbose --holes --olddir --help -e -E -F -i -w -x -v -c -o -q -m -A -B -C -n -b -H -R -f -h"
            case $prev in
                -e | --regexp)
                    :
                    return
                    ;;
                -m | --max-count)
                    :
                    return
                    ;;
                -A | --after-context)
                    :
                    return
                    ;;
                -B | --before-context)
                    :
                    return
                    ;;
                -C | --context)
                    :
                    return
                    ;;
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
                --from)
                    :
                    return
                    ;;
                --to)
                    :
                    return
                    ;;
                --since)
                    :
                    return
                    ;;
                --until)
                    :
                    return
                    ;;
                --holes)
                    _mmlogctl_words "skip nul say" "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else :; fi
            ;;
        ls)
            options="--only-below --cross-mounts --json --exit-code --color --trust-path --help -h"
            case $prev in
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_files -d "$cur"; fi
            ;;
        stats)
            options="--by --since --until --read --json --olddir --trust-path --help -h"
            case $prev in
                --by)
                    :
                    return
                    ;;
                --since)
                    :
                    return
                    ;;
                --until)
                    :
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        status)
            options="--json --exit-code --color --olddir --trust-path --help -h"
            case $prev in
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        check)
            options="--warning --critical --prom --deep --json --color --olddir --trust-path --help -w -c -h"
            case $prev in
                -w | --warning)
                    _mmlogctl_metrics "$cur"
                    return
                    ;;
                -c | --critical)
                    _mmlogctl_metrics "$cur"
                    return
                    ;;
                --prom)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        inspect)
            options="--interval --once --batch --json --count --read-only --utc --no-mouse --color --trust-path --help -d -n -h"
            case $prev in
                -d | --interval)
                    :
                    return
                    ;;
                -n | --count)
                    :
                    return
                    ;;
                --color)
                    _mmlogctl_words "auto always never" "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        repair)
            options="--dry-run --json --clear-panic --rebuild --recreate --upgrade --accept-loss --forget-missing --wait --olddir --trust-path --help -n -h"
            case $prev in
                --wait)
                    :
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        trim)
            options="--dry-run --wait --verbose --trust-path --help -n -v -h"
            case $prev in
                --wait)
                    :
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        policy)
            options="--set --clear --json --wait --verbose --olddir --trust-path --help -v -h"
            case $prev in
                --set)
                    _mmlogctl_words "rotate-size= rotate-age= keep= keep-bytes= keep-age= keep-free= hold-max= compress=" "$cur"
                    return
                    ;;
                --clear)
                    [[ ${COMP_WORDS[COMP_CWORD - 1]} == = || ${COMP_WORDS[COMP_CWORD]} == = ]] && { _mmlogctl_words "rotate-size rotate-age keep keep-bytes keep-age keep-free hold-max compress" "$cur"; return; }
                    ;;
                --wait)
                    :
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        rotate)
            options="--dry-run --if-size --if-age --if-due --wait --utc --compress --level --olddir --run --verbose --trust-path --help -n -v -h"
            case $prev in
                --if-size)
                    :
                    return
                    ;;
                --if-age)
                    :
                    return
                    ;;
                --wait)
                    :
                    return
                    ;;
                --compress)
                    _mmlogctl_words "zstd gzip" "$cur"
                    return
                    ;;
                --level)
                    :
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
                --run)
                    :
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        prune)
            options="--keep --keep-bytes --keep-age --keep-free --hold-max --policy --punch --keep-unrun --force --forget --dry-run --wait --verbose --olddir --trust-path --help -n -v -h"
            case $prev in
                --keep)
                    :
                    return
                    ;;
                --keep-bytes)
                    :
                    return
                    ;;
                --keep-age)
                    :
                    return
                    ;;
                --keep-free)
                    :
                    return
                    ;;
                --hold-max)
                    :
                    return
                    ;;
                --forget)
                    :
                    return
                    ;;
                --wait)
                    :
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        segments)
            options="--json --since --until --olddir --trust-path --help -h"
            case $prev in
                --since)
                    :
                    return
                    ;;
                --until)
                    :
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        rm)
            options="--force --all --olddir --trust-path --help -h"
            case $prev in
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        drill)
            options="--all --list --json --dir --keep --trust-path --help -h"
            case $prev in
                --dir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_words "panicked unreadable log-removed metadata-removed metadata-moved data-gone data-removed data-moved data-replaced-in-use logrotate data-replaced data-truncated metadata-copied overlay-view owners-differ segment-missing segment-damaged positions unknown-operation sync-failed version-1-flag read-only disk-full disk-full-held lock-held maintenance-held writer-stalled gate-closed disk-nearly-full dead-writer lock-stale writers-full follower-behind hold-keeps hold-stopped segment-unreadable segment-surplus leftover unseen idle version-1 recovered not-recovered space-held former-log holes slack outside-bytes outside-cut hooks-unrun name-too-long writer-stopped frozen-v1 frozen-v2 disk-frozen file-size-limit dropping quota-full storage-fails inodes-used-up append-failed reader-behind reader-stands followers-full rotation-overdue policy-not-trusted pruning-overdue free-space-not-freed policy-damaged outside-live sink-away sink-refuses shipper-ended" "$cur"; fi
            ;;
        bench)
            options="--dir --engine --size --processes --threads --runs --messages --full --sustain --durable --growth --burst --peers --no-pin --json --chart --trust-path --help -h"
            case $prev in
                --dir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
                --engine)
                    _mmlogctl_words "mmlog mmlog-drop batched write writev stdio buffered direct aio uring pwrite floor shared-floor" "$cur"
                    return
                    ;;
                --size)
                    :
                    return
                    ;;
                --processes)
                    :
                    return
                    ;;
                --threads)
                    :
                    return
                    ;;
                --runs)
                    :
                    return
                    ;;
                --messages)
                    :
                    return
                    ;;
                --sustain)
                    :
                    return
                    ;;
                --peers)
                    [[ ${COMP_WORDS[COMP_CWORD - 1]} == = || ${COMP_WORDS[COMP_CWORD]} == = ]] && { :; return; }
                    ;;
                --chart)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else :; fi
            ;;
        ship)
            options="--to --config --name --checkpoint --from --unit --linger --linger-partial --in-flight --keep-acked --sync --timeout --drain --rotate-after --until-now --give-up --check --accept-gap --accept-fork --sink-is-new --credentials --tls-ca --olddir --trust-path --help -h"
            case $prev in
                --to)
                    :
                    return
                    ;;
                --config)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --name)
                    :
                    return
                    ;;
                --checkpoint)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --from)
                    :
                    return
                    ;;
                --unit)
                    :
                    return
                    ;;
                --linger)
                    :
                    return
                    ;;
                --linger-partial)
                    :
                    return
                    ;;
                --in-flight)
                    :
                    return
                    ;;
                --keep-acked)
                    :
                    return
                    ;;
                --sync)
                    _mmlogctl_words "own wait" "$cur"
                    return
                    ;;
                --timeout)
                    :
                    return
                    ;;
                --drain)
                    :
                    return
                    ;;
                --rotate-after)
                    :
                    return
                    ;;
                --give-up)
                    :
                    return
                    ;;
                --sink-is-new)
                    _mmlogctl_words "restart continue" "$cur"
                    return
                    ;;
                --credentials)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --tls-ca)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else _mmlogctl_logs "$cur"; fi
            ;;
        receive)
            options="--into --label --until-now --give-up --timeout --verify --accept-gap --credentials --tls-ca --olddir --trust-path --help -h"
            case $prev in
                --into)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
                --label)
                    :
                    return
                    ;;
                --give-up)
                    :
                    return
                    ;;
                --timeout)
                    :
                    return
                    ;;
                --verify)
                    _mmlogctl_logs "$cur"
                    return
                    ;;
                --credentials)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --tls-ca)
                    _mmlogctl_files -f "$cur"
                    return
                    ;;
                --olddir)
                    _mmlogctl_files -d "$cur"
                    return
                    ;;
            esac
            if [[ $cur == -* ]]; then _mmlogctl_words "$options" "$cur"; else :; fi
            ;;
    esac
}

complete -F _mmlogctl mmlogctl
