// Causal attention of a chunk of tokens against the cache, which already holds the chunk (online softmax):
//   out[t, h] = sum_j softmax_j(scale * q[t, h] . k_j) v_j,  max(0, r + t + 1 - window) <= j <= r + t,
// r = row - gone[KV head].
// Workgroup (block of HEADS query heads of one KV head, tile of tokens): 32 rows, row r = head r % HEADS of token
// r / HEADS, against tiles of KEYS keys: K and then V staged in workgroup memory as stored.
// Thread (row four, sixteenth): in the scores, 4 rows x keys sixteenth + 16 i; in the output, the same 4 rows x columns
// 4 (sixteenth + 16 i). So the running maxima of the 4 rows stay in registers. Tokens with most keys come first.

#import lib/kv
#import lib/state

struct Params {
    scale: f32,
    window: u32, // 0xffffffff: none
    blocks: u32, // blocks of HEADS query heads per KV head
    kv_row4: u32, // n_kv_heads * head_dim / 4
    q_stride4: u32,
    out_stride4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [n_tokens, q_stride]
@group(0) @binding(2) var<storage, read> k_cache: array<KvQuad>; // [capacity, n_kv_heads*head_dim]
@group(0) @binding(3) var<storage, read> v_cache: array<KvQuad>;
@group(0) @binding(4) var<storage, read> state: State;
@group(0) @binding(5) var<storage, read> gone: array<u32>; // [n_kv_heads]: rows that are no longer there
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [n_tokens, out_stride]

const WG: u32 = 128u;
const ROWS4: u32 = 8u; // fours of rows
const TOKENS: u32 = 32u / HEADS;
const QUADS: u32 = HEAD_DIM / 4u;
const KEYS16: u32 = (KEYS + 15u) / 16u; // keys per thread
const COLUMNS: u32 = (QUADS + 15u) / 16u; // fours of columns per thread
const PITCH: u32 = QUADS + 1u; // odd steps between keys meet no bank conflict
const LOWEST: f32 = -3.0e38;

var<workgroup> staged: array<KvQuad, KEYS * PITCH>; // [key][quad]
var<workgroup> maxima: array<vec4<f32>, 16u * ROWS4>; // [sixteenth][row four]; at the end, sums
var<workgroup> weights: array<vec4<f32>, KEYS * ROWS4>; // [key][row four]

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) tid: u32,
) {
    let n_tokens = state.n_tokens;
    let first_token = (groups.y - 1u - group.y) * TOKENS;
    if (first_token >= n_tokens) {
        return;
    }
    let kv_head = group.x / params.blocks;
    let first_row = state.row - gone[kv_head]; // of the chunk
    let rows = tid / 16u; // which four
    let part = tid % 16u;

    // Rows of tokens beyond the chunk repeat the last token and are not written.
    let row = vec4<u32>(4u * rows) + vec4<u32>(0u, 1u, 2u, 3u);
    let token = vec4<u32>(first_token) + row / HEADS;
    let head = vec4<u32>(group.x * HEADS) + row % HEADS;
    let q_at = min(token, vec4<u32>(n_tokens - 1u)) * params.q_stride4 + head * QUADS;
    let past = vec4<u32>(first_row + 1u) + min(token, vec4<u32>(n_tokens - 1u)); // first key that is not visible
    let oldest = past - min(past, vec4<u32>(params.window)); // first that is

    let end = first_row + min(first_token + TOKENS, n_tokens);
    let least = first_row + first_token + 1u;
    var m = vec4<f32>(LOWEST);
    var sums = vec4<f32>();
    var acc = array<array<vec4<f32>, 4>, COLUMNS>();

    for (var tile = least - min(least, params.window); tile < end; tile += KEYS) {
        let keys = min(KEYS, end - tile);
        let base = tile * params.kv_row4 + kv_head * QUADS;
        for (var i = tid; i < KEYS * QUADS; i += WG) {
            // keys beyond the tile repeat the last one, and are masked
            let key = i / QUADS;
            staged[key * PITCH + i % QUADS] = k_cache[base + min(key, keys - 1u) * params.kv_row4 + i % QUADS];
        }
        workgroupBarrier();

        var s = array<vec4<f32>, KEYS16>(); // of 4 rows
        for (var i = 0u; i < QUADS; i++) {
            let x = mat4x4<f32>(q[q_at.x + i], q[q_at.y + i], q[q_at.z + i], q[q_at.w + i]);
            for (var j = 0u; j < KEYS16; j++) {
                s[j] += kv_quad(staged[min(part + 16u * j, KEYS - 1u) * PITCH + i]) * x;
            }
        }
        var greater = m;
        for (var j = 0u; j < KEYS16; j++) {
            let key = vec4<u32>(tile + part + 16u * j);
            let visible = (key >= oldest) & (key < past);
            s[j] = select(vec4<f32>(LOWEST), s[j] * params.scale, visible);
            greater = max(greater, s[j]);
        }
        maxima[part * ROWS4 + rows] = greater;
        workgroupBarrier(); // and the keys are done with

        for (var i = 0u; i < 16u; i++) {
            greater = max(greater, maxima[i * ROWS4 + rows]);
        }
        let shrink = exp(m - greater);
        m = greater;
        sums *= shrink;
        for (var j = 0u; j < KEYS16; j++) {
            // while a row has seen no key, its maximum is LOWEST as well: the second condition
            let e = select(vec4<f32>(), exp(s[j] - m), s[j] > vec4<f32>(LOWEST));
            if (part + 16u * j < KEYS) {
                sums += e;
                weights[(part + 16u * j) * ROWS4 + rows] = e;
            }
        }
        for (var i = tid; i < KEYS * QUADS; i += WG) {
            let key = i / QUADS;
            staged[key * PITCH + i % QUADS] = v_cache[base + min(key, keys - 1u) * params.kv_row4 + i % QUADS];
        }
        workgroupBarrier();

        for (var c = 0u; c < COLUMNS; c++) {
            acc[c][0] *= shrink.x;
            acc[c][1] *= shrink.y;
            acc[c][2] *= shrink.z;
            acc[c][3] *= shrink.w;
        }
        for (var key = 0u; key < keys; key++) {
            let w = weights[key * ROWS4 + rows];
            for (var c = 0u; c < COLUMNS; c++) {
                let v = kv_quad(staged[key * PITCH + min(part + 16u * c, QUADS - 1u)]);
                acc[c][0] += w.x * v;
                acc[c][1] += w.y * v;
                acc[c][2] += w.z * v;
                acc[c][3] += w.w * v;
            }
        }
        workgroupBarrier();
    }

    maxima[part * ROWS4 + rows] = sums;
    workgroupBarrier();
    sums = vec4<f32>();
    for (var i = 0u; i < 16u; i++) {
        sums += maxima[i * ROWS4 + rows];
    }
    let inverse = 1.0 / sums; // every row sees its own token at least
    let out_at = token * params.out_stride4 + head * QUADS;
    for (var c = 0u; c < COLUMNS; c++) {
        let column = part + 16u * c;
        if (column < QUADS) {
            for (var r = 0u; r < 4u; r++) {
                if (token[r] < n_tokens) {
                    out[out_at[r] + column] = acc[c][r] * inverse[r];
                }
            }
        }
    }
}
