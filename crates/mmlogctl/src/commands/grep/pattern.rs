//! What was typed to look for, compiled.

use grep_regex::{RegexMatcher, RegexMatcherBuilder};

use super::args::GrepArgs;
use crate::exit::{Exit, Failure, printable};

/// What to look for: patterns, one a line.
pub(super) struct Patterns {
    lines: Vec<String>,
    is_text: bool,
}

impl Patterns {
    /// # Errors
    /// When a pattern is not text.
    pub(super) fn new(args: &GrepArgs) -> Result<Self, Failure> {
        let mut typed = args.patterns.clone();
        if typed.is_empty() {
            let pattern = args.pattern.as_deref().unwrap_or_default();
            let Some(pattern) = pattern.to_str() else {
                return Err(Failure::new(
                    Exit::Usage,
                    "the pattern is not UTF-8; write \\xNN for such bytes",
                ));
            };
            typed.push(pattern.to_owned());
        }
        let lines = typed.iter().flat_map(|pattern| pattern.split('\n')).map(str::to_owned).collect();
        Ok(Self { lines, is_text: args.fixed_strings })
    }

    /// # Errors
    /// When a pattern is none.
    pub(super) fn compile(&self, args: &GrepArgs) -> Result<RegexMatcher, Failure> {
        let mut builder = RegexMatcherBuilder::new();
        builder
            .multi_line(true)
            .line_terminator(Some(b'\n'))
            .case_insensitive(args.ignore_case)
            .fixed_strings(self.is_text)
            .word(args.word_regexp)
            .whole_line(args.line_regexp);
        builder.build_many(&self.lines).map_err(|e| {
            // The first lines show the pattern, with a mark below the place.
            let said = e.to_string();
            let problem = said.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            let wrong = self.lines.iter().find(|line| builder.build(line).is_err());
            let wrong = printable(wrong.unwrap_or(&self.lines[0]));
            let next = "-F takes it as text, and a backslash before one character takes that as it is";
            Failure::new(Exit::Usage, format!("{wrong}: no regular expression: {problem}; {next}"))
        })
    }

    /// What whoever has his patterns from grep(1) may have meant, where nothing matched.
    pub(super) fn tip(&self) -> Option<&'static str> {
        let has = |escaped: &str| self.lines.iter().any(|line| line.contains(escaped));
        let is_basic = !self.is_text && (has(r"\|") || has(r"\+") || (has(r"\(") && has(r"\)")));
        is_basic.then_some(
            r"nothing matched; patterns are those of grep -E: a|b, x+ and (...) have no backslash here, with one they are text",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(lines: &[&str], is_text: bool) -> Patterns {
        Patterns { lines: lines.iter().map(|line| (*line).to_owned()).collect(), is_text }
    }

    #[test]
    fn only_patterns_of_basic_grep_have_a_tip() {
        for basic in [r"a\|b", r"x\+", r"\(ab\)c"] {
            assert!(patterns(&["z", basic], false).tip().is_some(), "{basic}");
            assert!(patterns(&["z", basic], true).tip().is_none(), "{basic}");
        }
        for other in ["a|b", r"f\(", r"\d\.", ""] {
            assert!(patterns(&[other], false).tip().is_none(), "{other}");
        }
    }
}
