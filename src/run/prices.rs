//! Prices that are looked up when a run begins: a plan is made without asking anybody.

use std::borrow::Cow;

use aws_config::SdkConfig;
use indexmap::IndexMap;

use crate::aws::{Access, prices};
use crate::context::Context;
use crate::destination::place::{DestinationPlan, Request};
use crate::destination::sagemaker::cost::Seconds;
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::error::Result;
use crate::plan::Plan;
use crate::talk::Talk;

/// The plan with the prices of its instances, if they are to be looked up. Where that fails, they
/// stay unknown.
///
/// # Errors
/// A cost is not to be exceeded, and would be, or is unknown.
pub(super) async fn looked_up<'p>(
    plan: &'p Plan,
    context: &Context,
    talk: &Talk,
) -> Result<Cow<'p, Plan>> {
    let DestinationPlan::Sagemaker(sagemaker) = &plan.destination else {
        return Ok(Cow::Borrowed(plan));
    };
    if !sagemaker.settings.look_up_price {
        return Ok(Cow::Borrowed(plan));
    }
    let access = Access::new(&sagemaker.settings.region, plan.aws.as_ref(), &context.env);
    let prices = match ask(sagemaker, &access.await.config).await {
        Ok(prices) => prices,
        Err(error) if sagemaker.settings.max_cost.is_some() => {
            return Err(error.hint(
                "`max_cost` cannot be kept without a price: write `price_per_hour`, or leave `max_cost` out",
            ));
        }
        Err(error) => {
            talk.say(&format!(
                "warning: what the run costs stays unknown: {error}"
            ));
            return Ok(Cow::Borrowed(plan));
        }
    };
    let validation = plan.validation.as_ref();
    let on_sagemaker = validation.filter(|job| matches!(job.request, Request::Sagemaker(_)));
    let seconds = Seconds {
        train: plan.training.max_runtime_seconds,
        keep_alive: sagemaker.keep_alive_seconds.unwrap_or_default(),
        validate: on_sagemaker.map_or(0, |job| job.max_runtime_seconds),
    };
    let priced = sagemaker.priced(&prices, seconds)?;
    let mut plan = plan.clone();
    plan.destination = DestinationPlan::Sagemaker(Box::new(priced));
    Ok(Cow::Owned(plan))
}

async fn ask(
    plan: &SagemakerPlan,
    config: &SdkConfig,
) -> Result<IndexMap<String, prices::ListedPrice>> {
    let region = &plan.settings.region;
    let mut found = IndexMap::new();
    for kind in plan.settings.types() {
        if !found.contains_key(kind) {
            let price = prices::training_hour(config, kind, region).await?;
            found.insert(kind.to_owned(), price);
        }
    }
    Ok(found)
}
