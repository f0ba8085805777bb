// Splits of split-KV attention in use: one per 64 keys of a head that lost none. The same for all heads, so that the
// merge needs to know nothing of heads.

fn active_splits(row: u32, window: u32, n_splits: u32) -> u32 {
    return clamp((min(row + 1u, window) + 63u) / 64u, 1u, n_splits);
}
