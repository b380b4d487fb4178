"""Finding jobs: List, Search, tags."""

import pytest
from conftest import ClientError, code_of

METRIC = [{"Name": "auc", "Regex": "auc=([0-9.]+)"}]


@pytest.fixture(scope="module")
def found(stand_in):
    """Three jobs of this module alone, by the tag `set`."""
    from conftest import Jobs

    jobs = Jobs(stand_in)
    names = []
    for auc, branch in (("0.7", "main"), ("0.9", "main"), ("0.8", "dev")):
        name = jobs.start(
            f"echo auc={auc}",
            AlgorithmSpecification={"MetricDefinitions": METRIC},
            HyperParameters={"depth": auc[-1]},
            Tags=[{"Key": "set", "Value": "search"}, {"Key": "branch", "Value": branch}],
        )
        assert jobs.end(name)["TrainingJobStatus"] == "Completed"
        names.append(name)
    return names


def search(stand_in, *filters: tuple, **changes) -> list[str]:
    wanted = [("Tags.set", "Equals", "search"), *filters]
    rules = [{"Name": n, "Operator": o, **({"Value": v[0]} if v else {})} for n, o, *v in wanted]
    request = {"Resource": "TrainingJob", "SearchExpression": {"Filters": rules}, **changes}
    answer = stand_in.sagemaker.search(**request)
    return [item["TrainingJob"]["TrainingJobName"] for item in answer["Results"]]


def test_filters(stand_in, found):
    low, high, dev = found
    assert sorted(search(stand_in)) == sorted(found)
    assert search(stand_in, ("Tags.branch", "Equals", "dev")) == [dev]
    assert sorted(search(stand_in, ("Tags.branch", "NotEquals", "dev"))) == sorted([low, high])
    assert search(stand_in, ("Tags.branch", "In", "dev,other")) == [dev]
    assert search(stand_in, ("Tags.absent", "Exists")) == []
    assert len(search(stand_in, ("Tags.absent", "NotExists"))) == 3
    assert sorted(search(stand_in, ("Metrics.auc", "GreaterThan", "0.75"))) == sorted([high, dev])
    assert search(stand_in, ("Metrics.auc", "Equals", "0.9")) == [high]
    assert search(stand_in, ("HyperParameters.depth", "LessThanOrEqualTo", "7")) == [low]
    assert len(search(stand_in, ("TrainingJobStatus", "Equals", "Completed"))) == 3
    assert search(stand_in, ("TrainingJobName", "Contains", high)) == [high]
    assert search(stand_in, ("CreationTime", "LessThan", "2020-01-01T00:00:00Z")) == []
    assert len(search(stand_in, ("AlgorithmSpecification.TrainingInputMode", "Equals", "File"))) == 3


def test_expressions_within_expressions(stand_in, found):
    low, high, dev = found
    either = {
        "Filters": [
            {"Name": "Tags.branch", "Operator": "Equals", "Value": "dev"},
            {"Name": "Metrics.auc", "Operator": "LessThan", "Value": "0.75"},
        ],
        "Operator": "Or",
    }
    expression = {
        "Filters": [{"Name": "Tags.set", "Operator": "Equals", "Value": "search"}],
        "SubExpressions": [either],
    }
    assert sorted(search(stand_in, SearchExpression=expression)) == sorted([low, dev])
    nested = {
        "NestedPropertyName": "FinalMetricDataList",
        "Filters": [
            {"Name": "FinalMetricDataList.MetricName", "Operator": "Equals", "Value": "auc"},
            {"Name": "FinalMetricDataList.Value", "Operator": "GreaterThan", "Value": "0.85"},
        ],
    }
    expression["NestedFilters"] = [nested]
    del expression["SubExpressions"]
    assert search(stand_in, SearchExpression=expression) == [high]


def test_order_and_pages(stand_in, found):
    low, high, dev = found
    assert search(stand_in, SortBy="Metrics.auc", SortOrder="Ascending") == [low, dev, high]
    assert search(stand_in, SortBy="Metrics.auc", SortOrder="Descending") == [high, dev, low]
    assert search(stand_in, SortBy="CreationTime") == [dev, high, low]
    rules = [{"Name": "Tags.set", "Operator": "Equals", "Value": "search"}]
    request = {"Resource": "TrainingJob", "SearchExpression": {"Filters": rules}, "MaxResults": 2}
    first = stand_in.sagemaker.search(**request)
    second = stand_in.sagemaker.search(**request, NextToken=first["NextToken"])
    assert (len(first["Results"]), len(second["Results"]), "NextToken" in second) == (2, 1, False)
    with pytest.raises(ClientError) as error:
        stand_in.sagemaker.search(Resource="TrainingJob", NextToken=first["NextToken"])
    assert code_of(error) == "ValidationException"


def test_a_result_has_tags_and_metrics(stand_in, found):
    rules = [{"Name": "TrainingJobName", "Operator": "Equals", "Value": found[1]}]
    [item] = stand_in.sagemaker.search(Resource="TrainingJob", SearchExpression={"Filters": rules})["Results"]
    job = item["TrainingJob"]
    assert {"Key": "branch", "Value": "main"} in job["Tags"]
    assert job["FinalMetricDataList"][0]["Value"] == 0.8999999761581421


def test_what_cannot_be_searched(stand_in):
    for request in (
        {"Resource": "Endpoint"},
        {
            "Resource": "TrainingJob",
            "SearchExpression": {"Filters": [{"Name": "Metrics.auc", "Operator": "GreaterThan", "Value": "much"}]},
        },
        {"Resource": "TrainingJob", "SearchExpression": {"Filters": [{"Name": "TrainingJobName"}]}},
    ):
        with pytest.raises(ClientError) as error:
            stand_in.sagemaker.search(**request)
        assert code_of(error) == "ValidationException"


def test_lists(stand_in, found):
    api = stand_in.sagemaker

    def names(**request) -> list[str]:
        return [job["TrainingJobName"] for job in api.list_training_jobs(**request)["TrainingJobSummaries"]]

    low, high, dev = found
    assert names(NameContains=high) == [high]
    pages = list(api.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 1}))
    everything = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    assert [name for name in everything if name in found] == [dev, high, low]
    assert all(len(page["TrainingJobSummaries"]) <= 1 for page in pages)
    listed = names(SortBy="Name", SortOrder="Ascending", StatusEquals="Completed", MaxResults=100)
    assert listed == sorted(listed) and set(found) <= set(listed)
    assert names(StatusEquals="Stopping") == [] and names(CreationTimeBefore="2020-01-01") == []
    [summary] = api.list_training_jobs(NameContains=high)["TrainingJobSummaries"]
    assert summary["SecondaryStatus"] == "Completed"


def test_tags(stand_in, jobs):
    arn = jobs.run(Tags=[{"Key": "a", "Value": "1"}])["TrainingJobArn"]
    api = stand_in.sagemaker
    api.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
    assert api.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    api.delete_tags(ResourceArn=arn, TagKeys=["a", "absent"])
    assert api.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": ""}]
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    with pytest.raises(ClientError) as error:
        api.add_tags(ResourceArn=arn, Tags=many)
    assert code_of(error) == "ValidationException"
    api.add_tags(ResourceArn=arn, Tags=many[:49])
    with pytest.raises(ClientError):
        api.list_tags(ResourceArn=arn.replace("job-", "absent-"))
