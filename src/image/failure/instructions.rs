//! The line of an instruction by the name of its step, for builders that tell no lines.

/// An instruction of a Dockerfile.
struct Instruction {
    /// Its first line, from 1.
    line: u32,
    /// On one line, one blank between words.
    text: String,
    /// The name of its stage, or `stage-0`.
    stage: String,
    /// Its place in the whole Dockerfile, from 1.
    place: usize,
    /// Its place among those of its stage that make files, from 1.
    in_stage: usize,
}

/// What the number of a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Counted {
    /// All instructions: the classic builder.
    All,
    /// Those of a stage that make files: BuildKit.
    InStage,
}

/// The line of a step that is named `[2/3] RUN …` or `[stage 2/3] RUN …`.
pub(in crate::image) fn line_of(dockerfile: &[u8], step: &str, counted: Counted) -> Option<u32> {
    let (place, instruction) = step.strip_prefix('[')?.split_once("] ")?;
    let (stage, place) = match place.split_once(' ') {
        Some((stage, place)) => (Some(stage), place),
        None => (None, place),
    };
    let place: usize = place.split('/').next()?.trim().parse().ok()?;
    let wanted = words(instruction);
    let keyword = |text: &str| text.split(' ').next().map(str::to_uppercase);
    let all = all(dockerfile);
    let same = all
        .iter()
        .filter(|one| keyword(&one.text) == keyword(&wanted));
    let scored = same.map(|one| {
        let is_text = one.text == wanted;
        let is_place = match counted {
            Counted::All => one.place == place,
            Counted::InStage => one.in_stage == place,
        };
        let is_stage = stage.is_none_or(|stage| stage == one.stage);
        // Variables are replaced in the names of some steps, so that their words differ.
        let score = 4 * u8::from(is_text) + 2 * u8::from(is_place) + u8::from(is_stage);
        (score, one.line)
    });
    let best = scored.rev().max_by_key(|(score, _)| *score);
    best.filter(|(score, _)| *score >= 3).map(|(_, line)| line)
}

/// The instruction that begins at a line, on one line.
pub(super) fn at(dockerfile: &[u8], line: u32) -> Option<String> {
    let all = all(dockerfile);
    all.into_iter()
        .find(|one| one.line == line)
        .map(|one| one.text)
}

fn all(dockerfile: &[u8]) -> Vec<Instruction> {
    let text = String::from_utf8_lossy(dockerfile);
    let mut lines = (1..).zip(text.lines());
    let mut all: Vec<Instruction> = Vec::new();
    let (mut stages, mut stage, mut in_stage) = (0, String::new(), 0);
    while let Some((line, first)) = lines.next() {
        let first = first.trim();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let mut whole = first.to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            match lines.next() {
                // Comments and empty lines do not end an instruction.
                Some((_, more)) if more.trim().is_empty() || more.trim().starts_with('#') => {
                    whole.push('\\');
                }
                Some((_, more)) => whole.push_str(&format!(" {}", more.trim())),
                None => break,
            }
        }
        let text = words(&whole);
        let split: Vec<&str> = text.split(' ').collect();
        match split[0].to_uppercase().as_str() {
            "FROM" => {
                let name = split
                    .iter()
                    .position(|word| word.eq_ignore_ascii_case("as"));
                let name = name.and_then(|at| split.get(at + 1));
                stage = name.map_or_else(|| format!("stage-{stages}"), |name| (*name).to_owned());
                stages += 1;
                in_stage = 1;
            }
            "RUN" | "COPY" | "ADD" | "WORKDIR" => in_stage += 1,
            _ => {}
        }
        all.push(Instruction {
            line,
            text,
            stage: stage.clone(),
            place: all.len() + 1,
            in_stage,
        });
    }
    all
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_by_its_name() {
        let text = b"ARG A=1\nFROM scratch AS one\n\n# RUN x\nRUN  x \\\n  # why\n  && y\n\
                     RUN z\nRUN z\nFROM one\nCOPY $A /\nRUN z\n";
        use Counted::{All, InStage};
        for (step, counted, line) in [
            ("[3/9] RUN x   && y", All, Some(5)),
            ("[4/9] RUN z", All, Some(8)),
            ("[5/9] RUN z", All, Some(9)),
            ("[one 3/4] RUN z", InStage, Some(8)),
            ("[one 4/4] RUN z", InStage, Some(9)),
            ("[2/4] RUN x   && y", InStage, Some(5)),
            ("[stage-1 3/3] RUN z", InStage, Some(12)),
            ("[stage-1 2/3] COPY 1 /", InStage, Some(11)),
            ("[9/9] RUN other", All, None),
            ("[internal] load build context", InStage, None),
        ] {
            assert_eq!(line_of(text, step, counted), line, "{step}");
        }
        assert_eq!(at(text, 5).as_deref(), Some("RUN x && y"));
        assert_eq!(at(text, 11).as_deref(), Some("COPY $A /"));
        assert_eq!(at(text, 0), None);
    }
}
