//! Stop texts: the reply ends where one of them begins.

/// Looks for stop texts in a stream of pieces, and holds back what may be the beginning of one. How the text is cut
/// into pieces makes no difference to the result.
#[derive(Debug, Clone, Default)]
pub struct StopTexts {
    stops: Vec<String>,
    /// The end of the stream so far, as long as it may begin a stop text.
    held: String,
    stopped: bool,
}

impl StopTexts {
    /// Empty stop texts are left out: they would end every reply before it begins.
    pub fn new(stops: &[String]) -> StopTexts {
        let stops = stops.iter().filter(|s| !s.is_empty()).cloned().collect();
        StopTexts { stops, held: String::new(), stopped: false }
    }

    /// Takes a piece and returns the text that can be shown now. Nothing comes after a stop text.
    pub fn push(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(piece);
        // The stop text that is complete first counts: that is what a reader of single characters would see.
        let first =
            self.stops.iter().filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at + stop.len(), at))).min();
        if let Some((_, at)) = first {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether a stop text was found.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// The text held back, when the reply ends for another reason.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that begins `stop` but is not all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len() - 1);
    let at_boundary = |n: &usize| stop.is_char_boundary(*n) && text.is_char_boundary(text.len() - n);
    (1..=longest).rev().filter(at_boundary).find(|&n| text.ends_with(&stop[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(stops: &[&str]) -> StopTexts {
        StopTexts::new(&stops.iter().map(|s| s.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn holds_back_beginnings_only() {
        let mut s = stops(&["</s>", "END"]);
        let shown: Vec<String> = ["a<", "/", "b", " E", "N", "N", "</s", "> more"].iter().map(|p| s.push(p)).collect();
        assert_eq!(shown, ["a", "", "</b", " ", "", "ENN", "", ""]);
        assert!(s.stopped());
        assert_eq!(s.push("x") + &s.finish(), "");
    }

    #[test]
    fn gives_back_what_was_no_stop() {
        let mut s = stops(&["aab", ""]);
        assert_eq!(s.push("xaa"), "x");
        assert_eq!(s.push("a"), "a");
        assert!(!s.stopped());
        assert_eq!(s.finish(), "aa");
        assert_eq!(stops(&[]).push("anything"), "anything");
    }

    #[test]
    fn cutting_into_pieces_makes_no_difference() {
        for (text, list, expected) in [
            ("xabcd", &["abc", "b"][..], "xa"),
            ("größe→ende", &["ße→", "→e"], "grö"),
            ("aaaab", &["aab"], "aa"),
            ("no stop at all", &["stops", "alle"], "no stop at all"),
            ("STOP", &["STOP"], ""),
            ("ab\u{1F98A}c", &["\u{1F98B}", "\u{1F98A}c"], "ab"),
        ] {
            let chars: Vec<char> = text.chars().collect();
            // Every way to cut the text.
            for cuts in 0u32..1 << (chars.len() - 1) {
                let mut s = stops(list);
                let (mut out, mut piece) = (String::new(), String::new());
                for (i, &c) in chars.iter().enumerate() {
                    piece.push(c);
                    if cuts >> i & 1 == 1 || i + 1 == chars.len() {
                        out += &s.push(&std::mem::take(&mut piece));
                    }
                }
                assert_eq!(out + &s.finish(), expected, "{text} cut {cuts:b}");
            }
        }
    }
}
