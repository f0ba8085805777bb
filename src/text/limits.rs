//! How large a vocabulary may be: one that takes the heap of a browser tab is refused before anything is built of it.

use crate::error::{Error, Result};

/// Most tokens, most merges, and most bytes of text that spell them: twice what the largest models have.
const MAX_TOKENS: usize = 1 << 19;
const MAX_MERGES: usize = 1 << 20;
const MAX_TEXT: usize = 40 << 20;

/// `bad-file` for a vocabulary beyond the limits.
pub(super) fn check(n_tokens: usize, n_merges: usize, bytes: usize) -> Result<()> {
    if n_tokens > MAX_TOKENS || n_merges > MAX_MERGES || bytes > MAX_TEXT {
        return Err(Error::BadFile(format!(
            "the vocabulary has {n_tokens} tokens and {n_merges} merges in {bytes} bytes; at most {MAX_TOKENS}, \
             {MAX_MERGES} and {MAX_TEXT} are supported, twice what the largest models have"
        )));
    }
    Ok(())
}
