//! The AWS Price List: what an instance hour costs, on demand.
//!
//! <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_pricing::Client as Sdk;
use aws_sdk_pricing::config::{Config, Region};
use aws_sdk_pricing::types::{Filter, FilterType};
use serde::Deserialize;
use serde_json::Value;

use super::errors::Doing;
use crate::error::{Error, ExitCode, Result};
use crate::report::text;

/// The price list's endpoint for all regions of the partition `aws`; there is another in
/// `ap-south-1`. <https://docs.rs/aws-sdk-pricing/latest/aws_sdk_pricing/>
const ENDPOINT: &str = "us-east-1";

/// Nobody waits longer for a price.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

/// What the list calls SageMaker and its training instances. AWS does not document the attributes;
/// these are what published programs ask for, and what an answer must have to be taken.
const SERVICE: &str = "AmazonSageMaker";
const COMPONENT: &str = "Training";

/// A price of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedPrice {
    /// Of an hour.
    pub amount: f64,
    /// `USD`.
    pub currency: String,
    /// When AWS published the list: `2026-01-31`.
    pub date: String,
}

/// A product of the list, as far as it is of interest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    product: Product,
    terms: Value,
    publication_date: String,
}

#[derive(Debug, Deserialize)]
struct Product {
    attributes: Value,
}

/// What an hour of training on an instance type costs in a region.
///
/// # Errors
/// AWS refuses, or does not answer; the list has no such price, or more than one.
pub async fn training_hour(
    config: &aws_config::SdkConfig,
    kind: &str,
    region: &str,
) -> Result<ListedPrice> {
    let (attempt, whole) = PATIENCE;
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(whole)
        .build();
    let wanted = [
        ("regionCode", region),
        ("instanceName", kind),
        ("component", COMPONENT),
    ];
    let filters = wanted.iter().map(|(field, value)| {
        let filter = Filter::builder().r#type(FilterType::TermMatch);
        filter.field(*field).value(*value).build()
    });
    let filters: std::result::Result<Vec<Filter>, _> = filters.collect();
    let what = format!("look up the price of `{kind}`");
    let filters = filters
        .map_err(|error| Error::new(ExitCode::Internal, format!("cannot {what}")).because(error))?;
    let call = Sdk::new(config).get_products().service_code(SERVICE);
    let call = call.set_filters(Some(filters)).max_results(100).customize();
    let own = Config::builder()
        .timeout_config(timeouts)
        .region(Region::new(ENDPOINT));
    let answer = call.config_override(own).send().await.map_err(|cause| {
        let doing = Doing {
            what: &what,
            action: "pricing:GetProducts",
            resource: "*",
            region: ENDPOINT,
            code: ExitCode::Config,
        };
        doing.error(&cause)
    })?;
    the_one(answer.price_list(), &wanted).map_err(|reason| {
        let message = format!("cannot {what} in {region}");
        Error::new(ExitCode::Config, message).because(reason)
    })
}

/// The one price that all documents agree on.
fn the_one(
    documents: &[String],
    wanted: &[(&str, &str)],
) -> std::result::Result<ListedPrice, String> {
    let mut found: Vec<ListedPrice> = Vec::new();
    for document in documents {
        let document: Document = serde_json::from_str(document)
            .map_err(|error| format!("the AWS Price List has another form: {error}"))?;
        let attributes = &document.product.attributes;
        if wanted
            .iter()
            .all(|(name, value)| attributes[*name] == **value)
        {
            for price in document.prices() {
                if !found.contains(&price) {
                    found.push(price);
                }
            }
        }
    }
    match (found.pop(), found.len()) {
        (Some(price), 0) => Ok(price),
        (Some(_), others) => Err(format!("the AWS Price List has {} prices", others + 1)),
        (None, _) => Err("the AWS Price List has none".to_owned()),
    }
}

impl Document {
    /// Its prices of an hour on demand.
    fn prices(&self) -> Vec<ListedPrice> {
        let values = |value: &Value| -> Vec<Value> {
            let inner = value.as_object().into_iter().flatten();
            inner.map(|(_, value)| value.clone()).collect()
        };
        let terms = values(&self.terms["OnDemand"]);
        let rates = terms
            .iter()
            .flat_map(|term| values(&term["priceDimensions"]));
        let hourly = rates.filter(|rate| {
            let unit = rate["unit"].as_str().unwrap_or_default();
            unit.to_lowercase().starts_with('h')
        });
        let date = self.publication_date.chars().take(10).collect::<String>();
        let prices = hourly.flat_map(|rate| {
            let all = rate["pricePerUnit"].as_object().cloned();
            all.into_iter().flatten().filter_map(|(currency, amount)| {
                let amount: f64 = amount.as_str()?.parse().ok()?;
                Some((currency, amount))
            })
        });
        prices
            .filter(|(_, amount)| amount.is_finite() && *amount > 0.0)
            .map(|(currency, amount)| ListedPrice {
                amount,
                currency: text::line(&currency, 10),
                date: text::line(&date, 10),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WANTED: [(&str, &str); 2] = [("instanceName", "ml.m5.xlarge"), ("component", "Training")];

    fn document(kind: &str, unit: &str, amount: &str) -> String {
        json!({
            "product": {
                "productFamily": "ML Instance",
                "attributes": {"instanceName": kind, "component": "Training"},
                "sku": "A",
            },
            "serviceCode": "AmazonSageMaker",
            "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": {
                "unit": unit, "pricePerUnit": {"USD": amount},
            }}}}},
            "version": "20260131120000",
            "publicationDate": "2026-01-31T12:00:00Z",
        })
        .to_string()
    }

    #[test]
    fn a_price_is_taken_when_there_is_exactly_one() {
        let right = document("ml.m5.xlarge", "Hrs", "0.2300000000");
        let another = document("ml.m5.2xlarge", "Hrs", "0.46");
        let upfront = document("ml.m5.xlarge", "Quantity", "900");
        let free = document("ml.m5.xlarge", "Hrs", "0.0000000000");
        let found = the_one(
            &[right.clone(), another, upfront, free, right.clone()],
            &WANTED,
        );
        let price = ListedPrice {
            amount: 0.23,
            currency: "USD".to_owned(),
            date: "2026-01-31".to_owned(),
        };
        assert_eq!(found, Ok(price));
        let dearer = document("ml.m5.xlarge", "Hrs", "0.24");
        let two = the_one(&[right, dearer], &WANTED).unwrap_err();
        assert!(two.contains("2 prices"), "{two}");
        assert!(the_one(&[], &WANTED).unwrap_err().contains("none"));
        assert!(the_one(&["[]".to_owned()], &WANTED).is_err());
    }
}
