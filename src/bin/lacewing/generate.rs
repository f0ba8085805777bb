//! `lacewing generate`

use super::open::ModelArgs;
use super::output;
use lacewing::session::GenerateOptions;
use lacewing::{Error, Result};

#[derive(clap::Args)]
pub struct Args {
    /// Model path or URL.
    model: String,
    /// Plain text to continue.
    #[arg(long, conflicts_with = "chat")]
    prompt: Option<String>,
    /// One user message, through the model's chat template.
    #[arg(long)]
    chat: Option<String>,
    /// System message of the chat.
    #[arg(long, requires = "chat")]
    system: Option<String>,
    /// Most tokens to generate.
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u32>)]
    max_tokens: Option<u32>,
    /// 0 = greedy; by default the model's generation_config, else 0.
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Keep the k most likely tokens; 0 = all.
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u32>)]
    top_k: Option<u32>,
    /// Keep the most likely tokens up to this probability.
    #[arg(long, allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Keep tokens with at least this share of the largest probability.
    #[arg(long, allow_negative_numbers = true)]
    min_p: Option<f32>,
    /// Penalty on tokens already seen; 1 = off.
    #[arg(long, allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// Seed of the draws, up to 2^53; random by default.
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: Option<u64>,
    /// Text that ends the reply; may be given several times.
    #[arg(long)]
    stop: Vec<String>,
    /// Do not stop at end-of-text tokens.
    #[arg(long)]
    ignore_eos: bool,
    /// Print one JSON object {text, ids, finish_reason, usage, stats} at the end instead of streaming.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model_args: ModelArgs,
}

pub async fn run(args: Args) -> Result<()> {
    if args.prompt.is_none() && args.chat.is_none() {
        return Err(Error::BadRequest("give --prompt TEXT or --chat TEXT".into()));
    }
    let options = GenerateOptions {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repetition_penalty: args.repetition_penalty,
        stop: args.stop.clone(),
        seed: args.seed,
        ignore_eos: args.ignore_eos,
    };
    options.check().map_err(by_flag)?;
    let mut model = args.model_args.load(&args.model).await?;
    let ids = match (&args.prompt, &args.chat) {
        (Some(text), _) => model.tokenize(text, true)?,
        (None, Some(text)) => {
            let mut messages = Vec::new();
            if let Some(system) = &args.system {
                messages.push(serde_json::json!({"role": "system", "content": system}));
            }
            messages.push(serde_json::json!({"role": "user", "content": text}));
            model.tokenize_chat(&messages.into(), &serde_json::Value::Null)?
        }
        (None, None) => unreachable!("checked above"),
    };
    model.begin(&ids, &options).await?;
    let (mut text, mut new_ids) = (String::new(), Vec::new());
    while let Some(piece) = model.next().await? {
        text += &piece.text;
        new_ids.extend(piece.ids);
        if !args.json {
            output::print(piece.text)?;
        }
    }
    let usage = model.usage().expect("the reply has ended");
    if args.json {
        let usage_json = serde_json::json!({
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        });
        let mut stats = serde_json::to_value(model.stats()).expect("JSON of plain values");
        stats["time_to_first_token_ms"] = (usage.time_to_first_token_s * 1e3).into();
        stats["prefill_tokens_per_s"] = usage.prefill_tokens_per_s.into();
        stats["decode_tokens_per_s"] = usage.decode_tokens_per_s.into();
        let finish_reason = usage.finish_reason;
        let report = serde_json::json!({
            "text": text, "ids": new_ids, "finish_reason": finish_reason, "usage": usage_json, "stats": stats,
        });
        output::json(&report)?;
    } else {
        output::line("")?;
        output::note(format_args!(
            "{} tokens, {:.1} tokens/s (prompt: {} tokens, first token after {:.0} ms)",
            usage.completion_tokens,
            usage.decode_tokens_per_s,
            usage.prompt_tokens,
            usage.time_to_first_token_s * 1e3
        ));
    }
    Ok(())
}

/// A whole number that the type holds, and what is allowed when it is none.
fn whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let max = if size_of::<T>() < size_of::<u64>() { u64::from(u32::MAX) } else { GenerateOptions::MAX_SEED };
    let number = text.parse::<u64>().ok().filter(|n| *n <= max).and_then(|n| T::try_from(n).ok());
    number.ok_or_else(|| format!("it must be a whole number from 0 to {max}"))
}

/// The same error by the name that the option has here: `topP` is `--top-p`.
fn by_flag(error: Error) -> Error {
    let Some(option) = error.details().and_then(|d| d.get("option")?.as_str().map(String::from)) else { return error };
    let kebab = |c: char| if c.is_uppercase() { format!("-{}", c.to_ascii_lowercase()) } else { c.to_string() };
    let flag: String = option.chars().map(kebab).collect();
    Error::BadRequest(error.to_string().replacen(&option, &format!("--{flag}"), 1))
}
