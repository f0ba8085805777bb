    // First members of `Params` of kernels that read weights: import it inside of the struct.
    chunks: u32,      // 16-byte words of codes per row
    scale_words: u32, // words of scales per row
    scale_base: u32,  // first word of the scales in w_meta
    cols: u32,        // columns of the matrix
