//! Holds a TOML document against the JSON Schema of [`super::raw::RawConfig`] and reports every
//! mistake at once, each with its place. What passes here deserializes.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::places::{Path, Places};
use super::problem::{Problem, did_you_mean, one_of};

/// More mistakes than anybody reads at once.
pub(super) const MANY: usize = 100;

/// All mistakes of a document, and the places of its keys and values.
#[must_use]
pub fn check(document: &Spanned<DeTable<'_>>, schema: &Value) -> (Vec<Problem>, Places) {
    let mut walk = Walk {
        root: schema,
        problems: Vec::new(),
        places: Places::default(),
    };
    walk.table(document.get_ref(), None, schema, &mut Vec::new());
    walk.problems
        .sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    (walk.problems, walk.places)
}

struct Walk<'s> {
    root: &'s Value,
    problems: Vec<Problem>,
    places: Places,
}

impl<'s> Walk<'s> {
    fn resolve(&self, mut schema: &'s Value) -> &'s Value {
        while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let Some(target) = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer))
            else {
                break;
            };
            schema = target;
        }
        schema
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        key: Option<&Range<usize>>,
        schema: &'s Value,
        path: &mut Path,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known: Vec<&str> = properties
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        for required in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !table.keys().any(|key| key.get_ref() == required) {
                let place = if path.is_empty() {
                    "mlaction.toml".to_owned()
                } else {
                    format!("[{}]", path.join("."))
                };
                let mut problem = Problem::new(
                    format!("`{required}` is missing in {place}"),
                    key.cloned(),
                    "it belongs in here",
                );
                if let Some(about) = properties
                    .and_then(|all| all.get(required))
                    .and_then(|s| self.describe(s))
                {
                    problem = problem.help(format!("`{required}`: {about}"));
                }
                self.problems.push(problem);
            }
        }
        for (name, value) in table {
            path.push(name.get_ref().to_string());
            self.places.keys.insert(path.clone(), name.span());
            self.places.values.insert(path.clone(), value.span());
            let known_schema = properties.and_then(|all| all.get(name.get_ref().as_ref()));
            let rest = schema.get("additionalProperties");
            match (known_schema, rest) {
                (Some(schema), _) => self.value(name.get_ref(), value, &name.span(), schema, path),
                (None, Some(Value::Bool(false))) => self.unknown(name, &known, path),
                (None, Some(rest)) => {
                    self.key_name(name, schema, path);
                    self.value(name.get_ref(), value, &name.span(), rest, path);
                }
                (None, None) => {}
            }
            path.pop();
        }
    }

    fn describe(&self, schema: &'s Value) -> Option<&'s str> {
        let own = schema
            .get("description")
            .or_else(|| self.resolve(schema).get("description"));
        own.and_then(Value::as_str)
    }

    fn unknown(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        known: &[&str],
        path: &[String],
    ) {
        let (_, parents) = path.split_last().unwrap_or((&path[0], &[]));
        let place = if parents.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", parents.join("."))
        };
        let problem = Problem::new(
            format!("unknown key `{}`{place}", name.get_ref()),
            Some(name.span()),
            "unknown key",
        );
        if self.problems.len() > MANY {
            // NOTE: nobody reads suggestions for thousands of keys, and each takes a while.
            self.problems.push(problem);
            return;
        }
        self.problems
            .push(match did_you_mean(name.get_ref(), known.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!(
                    "known keys here: {}",
                    one_of(known.iter().copied())
                )),
            });
    }

    fn key_name(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        schema: &'s Value,
        path: &[String],
    ) {
        let Some(pattern) = schema
            .pointer("/propertyNames/pattern")
            .and_then(Value::as_str)
        else {
            return;
        };
        if !matches(pattern, name.get_ref()) {
            self.problems.push(
                Problem::new(
                    format!("`{}` is not a valid name", path.join(".")),
                    Some(name.span()),
                    "not allowed",
                )
                .help(format!("a name here matches `{pattern}`"))
                .readable(),
            );
        }
    }

    fn value(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        key: &Range<usize>,
        schema: &'s Value,
        path: &mut Path,
    ) {
        let schema = self.resolve(schema);
        let branches = ["anyOf", "oneOf"]
            .iter()
            .find_map(|word| schema.get(*word))
            .and_then(Value::as_array);
        if let Some(branches) = branches {
            let branches: Vec<&'s Value> = branches
                .iter()
                .map(|branch| self.resolve(branch))
                .filter(|b| !is_null(b))
                .collect();
            self.branches(name, value, key, &branches, path);
            return;
        }
        if let Some(allowed) = literals(&[schema]) {
            self.literal(name, value, &allowed);
            return;
        }
        if !has_type(schema, value.get_ref()) {
            self.wrong_type(name, value, &[schema]);
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, Some(key), schema, path),
            DeValue::Array(items) => {
                let Some(item_schema) = schema.get("items") else {
                    return;
                };
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.places.values.insert(path.clone(), item.span());
                    let place = item.span();
                    self.value(&format!("{name}[{index}]"), item, &place, item_schema, path);
                    path.pop();
                }
            }
            DeValue::String(text) => self.text(name, text, value.span(), schema),
            DeValue::Integer(_) | DeValue::Float(_) => self.number(name, value, schema),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    /// A value that may take several forms: literals, tagged tables, or different types.
    fn branches(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        key: &Range<usize>,
        branches: &[&'s Value],
        path: &mut Path,
    ) {
        if let [only] = branches {
            self.value(name, value, key, only, path);
        } else if let Some(allowed) = literals(branches) {
            self.literal(name, value, &allowed);
        } else if let (Some((tag, tags)), DeValue::Table(table)) =
            (tagged(branches), value.get_ref())
        {
            let written = table.iter().find(|(key, _)| key.get_ref() == tag);
            match written {
                Some((_, kind)) => match branches
                    .iter()
                    .zip(&tags)
                    .find(|(_, tag)| kind.get_ref().as_str() == Some(tag))
                {
                    Some((branch, _)) => self.table(table, Some(key), branch, path),
                    None => self.literal(tag, kind, &tags),
                },
                None => self.problems.push(
                    Problem::new(
                        format!("`{tag}` is missing in [{}]", path.join(".")),
                        Some(key.clone()),
                        "it belongs in here",
                    )
                    .help(format!(
                        "`{tag}` is {}",
                        one_of(tags.iter().map(String::as_str))
                    )),
                ),
            }
        } else if let Some(branch) = best(branches, value.get_ref()) {
            self.value(name, value, key, branch, path);
        } else {
            self.wrong_type(name, value, branches);
        }
    }

    fn literal(&mut self, name: &str, value: &Spanned<DeValue<'_>>, allowed: &[String]) {
        let written = value.get_ref().as_str();
        if written.is_some_and(|text| allowed.iter().any(|literal| literal == text)) {
            return;
        }
        let names = || allowed.iter().map(String::as_str);
        let problem = Problem::new(
            match written {
                Some(text) => format!("`{text}` is not a value of `{name}`"),
                None => format!(
                    "`{name}` is {} here, not text",
                    with_article(value.get_ref().type_str())
                ),
            },
            Some(value.span()),
            format!("expected {}", one_of(names())),
        );
        self.problems
            .push(match written.and_then(|text| did_you_mean(text, names())) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            });
    }

    fn wrong_type(&mut self, name: &str, value: &Spanned<DeValue<'_>>, schemas: &[&Value]) {
        let mut expected: Vec<&str> = schemas
            .iter()
            .flat_map(|schema| types(schema))
            .map(type_word)
            .collect();
        expected.dedup();
        let expected = expected.join(" or ");
        let written = with_article(value.get_ref().type_str());
        let mut problem = Problem::new(
            format!("`{name}` must be {expected}, not {written}"),
            Some(value.span()),
            format!("expected {expected}"),
        );
        if let (DeValue::String(text), true) = (
            value.get_ref(),
            expected.contains("number") || expected.contains("whole"),
        ) && text.parse::<f64>().is_ok()
        {
            problem = problem.help(format!("write it without quotes: `{name} = {text}`"));
        }
        self.problems.push(problem);
    }

    fn text(&mut self, name: &str, text: &str, span: Range<usize>, schema: &Value) {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !matches(pattern, text)
        {
            let problem = Problem::new(
                format!("`{text}` is not a valid `{name}`"),
                Some(span),
                "not allowed",
            );
            let about = schema
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or("it does not match the pattern");
            self.problems
                .push(problem.help(about.replace('\n', " ")).readable());
        } else if schema
            .get("minLength")
            .and_then(Value::as_u64)
            .is_some_and(|least| (text.chars().count() as u64) < least)
        {
            let empty = format!("`{name}` is empty");
            self.problems
                .push(Problem::new(empty, Some(span), "expected some text").readable());
        }
    }

    fn number(&mut self, name: &str, value: &Spanned<DeValue<'_>>, schema: &Value) {
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(|n| n as f64),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let least = schema.get("minimum").and_then(Value::as_f64);
        let most = schema.get("maximum").and_then(Value::as_f64);
        let Some(number) = number else {
            self.problems.push(Problem::new(
                format!("`{name}` does not fit in 64 bits"),
                Some(value.span()),
                "too large",
            ));
            return;
        };
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let range = match (least, most) {
                (Some(least), Some(most)) => format!("between {least} and {most}"),
                (Some(least), None) => format!("at least {least}"),
                (None, Some(most)) => format!("at most {most}"),
                (None, None) => String::new(),
            };
            self.problems.push(Problem::new(
                format!("`{name}` must be {range}"),
                Some(value.span()),
                "out of range",
            ));
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    // NOTE: the patterns are our own, from the schema; a broken one fails the schema's own test.
    regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The allowed texts, when all branches are literals.
fn literals(branches: &[&Value]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for branch in branches {
        if let Some(word) = branch.get("const").and_then(Value::as_str) {
            all.push(word.to_owned());
        } else {
            let words = branch.get("enum")?.as_array()?;
            all.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    (!all.is_empty()).then_some(all)
}

/// The tag's name and its value per branch, when every branch is a table with a constant in it.
fn tagged<'s>(branches: &[&'s Value]) -> Option<(&'s str, Vec<String>)> {
    let tag_of = |branch: &'s Value| {
        branch
            .get("properties")?
            .as_object()?
            .iter()
            .find_map(|(name, schema)| Some((name.as_str(), schema.get("const")?.as_str()?)))
    };
    let (tag, _) = tag_of(branches.first()?)?;
    let tags: Option<Vec<String>> = branches
        .iter()
        .map(|branch| Some(tag_of(branch)?.1.to_owned()))
        .collect();
    Some((tag, tags?))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words
            .iter()
            .filter_map(Value::as_str)
            .filter(|word| *word != "null")
            .collect(),
        // A word of several: its type stands with each of them.
        _ => ["oneOf", "anyOf"]
            .iter()
            .filter_map(|word| schema.get(*word)?.as_array())
            .flatten()
            .flat_map(types)
            .collect(),
    }
}

/// The form that a value is written in: of several kinds of tables, the one that has most of the
/// keys that are there.
fn best<'s>(branches: &[&'s Value], value: &DeValue<'_>) -> Option<&'s Value> {
    let has = |branch: &Value, key: &str| {
        let properties = branch.get("properties").and_then(Value::as_object);
        properties.is_some_and(|properties| properties.contains_key(key))
    };
    let known = |branch: &&'s Value| match value {
        DeValue::Table(table) => table
            .keys()
            .filter(|key| has(branch, key.get_ref()))
            .count(),
        _ => 0,
    };
    // NOTE: the first of those that are equal, where `max_by_key` takes the last.
    let fitting = branches
        .iter()
        .rev()
        .filter(|branch| has_type(branch, value));
    fitting.copied().max_by_key(known)
}

fn has_type(schema: &Value, value: &DeValue<'_>) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|word| match value {
            DeValue::String(_) => *word == "string",
            DeValue::Integer(_) => *word == "integer" || *word == "number",
            DeValue::Float(_) => *word == "number",
            DeValue::Boolean(_) => *word == "boolean",
            DeValue::Array(_) => *word == "array",
            DeValue::Table(_) => *word == "object",
            DeValue::Datetime(_) => false,
        })
}

fn type_word(word: &str) -> &str {
    match word {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

fn with_article(toml_type: &str) -> &str {
    match toml_type {
        "string" => "text",
        "integer" => "a whole number",
        "float" => "a number with a fraction",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        "table" => "a table",
        other => other,
    }
}
