//! Logs as frameworks write them, small, with what has to be read from them.

/// A log, how it is read, and what is expected.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) log: &'static [u8],
    /// `NAME=REGEX`; `%N` stands for a number.
    pub(crate) definitions: &'static [&'static str],
    pub(crate) presets: &'static [&'static str],
    /// Every metric with all of its values.
    pub(crate) series: &'static [(&'static str, &'static [&'static str])],
}

/// The usual expression for a number, as it is copied from project to project.
pub(crate) const NUMBER: &str = r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|inf)";

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a bar that is drawn over with backspaces, and a name within a name",
        log: b"Epoch 1/2\n\r 32/640 [>....] - ETA: 41s - loss: 2.70 - acc: 0.1250\x08\x08\x08\x08\x08\x08\
            \x08\r640/640 [=====] - 3s - loss: 1.50 - acc: 0.5000 - val_loss: 1.25 - val_acc: 0.6250\n",
        definitions: &["loss= - loss: %N", "val_acc=val_acc: %N"],
        presets: &[],
        series: &[("loss", &["2.70", "1.50"]), ("val_acc", &["0.6250"])],
    },
    Case {
        name: "the same by the preset: no remaining time among the metrics",
        log: b"Epoch 1/2\n\r 32/640 [>....] - ETA: 41s - loss: 2.70 - acc: 0.1250\x08\x08\x08\x08\x08\x08\
            \x08\r640/640 [=====] - 3s - loss: 1.50 - acc: 0.5000 - val_loss: 1.25 - val_acc: 0.6250\n",
        definitions: &[],
        presets: &["keras"],
        series: &[
            ("loss", &["2.70", "1.50"]),
            ("acc", &["0.1250", "0.5000"]),
            ("val_loss", &["1.25"]),
            ("val_acc", &["0.6250"]),
        ],
    },
    Case {
        name: "a training that diverges",
        log: b"7/7 - 1s - loss: nan - val_loss: 3.5\n7/7 - 1s - loss: NaN - val_loss: inf\n",
        definitions: &["val=val_loss: %N"],
        presets: &["keras"],
        series: &[
            ("loss", &["NaN", "NaN"]),
            ("val_loss", &["3.5", "Infinity"]),
            ("val", &["3.5", "Infinity"]),
        ],
    },
    Case {
        name: "dictionaries of Python, glued to a bar, over several lines",
        log: "{'loss': 2.125, 'lr': 5e-05, 'epoch': 0.5}\n\r 50%|█████     | 1/2 [00:01<00:01,  1.10s/it]\
            {'loss': 1.0625, 'lr': 2.5e-05, 'epoch': 1.0}\n{'eval_loss': -0.1234567890123456789,\n \
            'eval_f1': tensor(0.75, device='cuda:0')}\n"
            .as_bytes(),
        definitions: &["docs='loss': ([0-9]+(.|e\\-)[0-9]+),?", "brace={'loss': %N"],
        presets: &["huggingface"],
        series: &[
            ("loss", &["2.125", "1.0625"]),
            ("lr", &["5e-05", "2.5e-05"]),
            ("epoch", &["0.5", "1.0"]),
            ("eval_loss", &["-0.1234567890123456789"]),
            ("eval_f1", &["0.75"]),
            ("docs", &["2.125", "1.0625"]),
            ("brace", &["2.125", "1.0625"]),
        ],
    },
    Case {
        name: "bars of Lightning and a table, with a run number that is no metric",
        log: "\rEpoch 0:  10%|█         | 1/10 [00:03<00:27,  3.1s/it, loss=4.50, v_num=12]\
            \rEpoch 0: 100%|██████████| 10/10 [00:09<00:00, 1.1it/s, loss=2.25, v_num=12, val_loss=2.5]\n\
            AdamW(lr=0.5, momentum=0.25)\n─────\n  Test metric      DataLoader 0\n\
            \x20 test_acc           81.25\n┃ test_f1 ┃ 0.40625 ┃\r\r\n"
            .as_bytes(),
        definitions: &[r"acc=^\s*test_acc\s+%N"],
        presets: &["lightning"],
        series: &[
            ("loss", &["4.50", "2.25"]),
            ("val_loss", &["2.5"]),
            ("test_acc", &["81.25"]),
            ("test_f1", &["0.40625"]),
            ("acc", &["81.25"]),
        ],
    },
    Case {
        name: "a forwarder's tabs for a definition with either",
        log: b"[03:04:05] INFO reg:squarederror\n[0]#011train-rmse:3.50#011validation-rmse:4.25\n\
            [1]\ttrain-rmse:1.75\tvalidation-rmse:2.125\n",
        definitions: &[
            r"escaped=.*\[[0-9]+\].*#011validation-rmse:%N.*",
            r"tab=\tvalidation-rmse:%N",
        ],
        presets: &["xgboost"],
        series: &[
            ("train-rmse", &["3.50", "1.75"]),
            ("validation-rmse", &["4.25", "2.125"]),
            ("escaped", &["4.25", "2.125"]),
            ("tab", &["4.25", "2.125"]),
        ],
    },
    Case {
        name: "LightGBM's two ways to write, and what only looks like them",
        log: b"[LightGBM] [Info] [binary:BoostFromScore]: pavg=0.5 -> initscore=0.125\n\
            [LightGBM] [Info] Iteration:1, valid_1 auc : 0.75\n[LightGBM] [Info] Iteration:1, training ndcg@3 : 0.5\n\
            [2]\tvalid_1's auc: 0.875\ttraining's l2: 0.25 + 0.01\n",
        definitions: &["auc=valid_1 auc : %N"],
        presets: &["lightgbm"],
        series: &[
            ("valid_1 auc", &["0.75", "0.875"]),
            ("training ndcg@3", &["0.5"]),
            ("training l2", &["0.25"]),
            ("auc", &["0.75"]),
        ],
    },
    Case {
        name: "CatBoost's columns and its last words",
        log: b"0:\tlearn: 0.50\ttest: 0.625\tbest: 0.625 (0)\ttotal: 5ms\n9:\tlearn: 0.25\ttest: 0.5\tbest: 0.375 (4)\ttotal: 1m 5s\n\
            \nbestTest = 0.3750\nbestIteration = 4\n",
        definitions: &[],
        presets: &["catboost"],
        series: &[
            ("learn", &["0.50", "0.25"]),
            ("test", &["0.625", "0.5"]),
            ("best", &["0.625", "0.375"]),
            ("bestTest", &["0.3750"]),
        ],
    },
    Case {
        name: "JSON behind a prefix, with quoted numbers and every digit",
        log: b"10:00 | INFO | {\"loss\": \"1.50\", \"wps\": \"2.5e+06\", \"note\": \"x\"}\n\
            {\"loss\": 0.1000000000000000055511151231257827, \"eval\": {\"f1\": NaN}} done\n{not json}\n",
        definitions: &["quoted=\"loss\": \"?%N"],
        presets: &["json"],
        series: &[
            ("loss", &["1.50", "0.1000000000000000055511151231257827"]),
            ("wps", &["2.5e+06"]),
            ("eval.f1", &["NaN"]),
            ("quoted", &["1.50", "0.1000000000000000055511151231257827"]),
        ],
    },
    Case {
        name: "a bar of tqdm with words before and after",
        log: "\rLoss=0.75 Acc=50.5:  50%|█████     | 1/2 [00:01<00:01,  1.00s/it]\
            \rLoss=0.5 Acc=75.25: 100%|██████████| 2/2 [00:02<00:00, 1.50batch/s, lr=1e-3]\n\
            Test set: Average loss: 0.25, Accuracy: 7525/10000 (75%)\n"
            .as_bytes(),
        definitions: &[r"percent=Test set:.*\(%N%", "count=Accuracy: %N/"],
        presets: &["tqdm"],
        series: &[
            ("Loss", &["0.75", "0.5"]),
            ("Acc", &["50.5", "75.25"]),
            ("lr", &["1e-3"]),
            ("percent", &["75"]),
            ("count", &["7525"]),
        ],
    },
    Case {
        name: "colours in the middle of words, columns under a header",
        log: b"\x1b[34m\x1b[1mtrain: \x1b[0mlr=0.1\n\x1b]0;title\x07va\x1b[0ml_loss: \x1b[32m0.5\x1b[0m\n\
            \r  2/5  9.1G  0.75  0.5\n   all  32  8  0.2  0.3  0.625  0.5\n   cat  32  8  0.1  0.1  0.1  0.1\n",
        definitions: &[
            "val_loss=^val_loss: %N",
            r"box=^\s*\d+/\d+\s+\S+G\s+%N",
            r"map=^\s*all\s+\d+\s+\d+\s+\S+\s+\S+\s+%N",
        ],
        presets: &[],
        series: &[("val_loss", &["0.5"]), ("box", &["0.75"]), ("map", &["0.625"])],
    },
    Case {
        name: "bytes of another encoding around plain text",
        log: b"2026-01-02 - INFO - \xd1\xe9\xd6\xa4\xbc\xaf: mAP: 0.125, mAP_s: -1.0\n\xd7\xbc: 0.5\xff\xfe\nmAP: 0.25\n",
        definitions: &["mAP=mAP: %N", "small=mAP_s: %N"],
        presets: &[],
        series: &[("mAP", &["0.125", "0.25"]), ("small", &["-1.0"])],
    },
    Case {
        name: "values before their names, brackets in names, look-behind",
        log: b"\t-12.50\t = Validation score   (-rmse)\n#quality_metric: host=algo-1, train loss <loss>=0.5\n\
            (algo-1, wQuantileLoss[0.9]): 0.0625\nval_loss=9 loss=0.25\n",
        definitions: &[
            r"rmse=%N\s+= Validation score\s+\(-rmse\)",
            r"quality=host=\S+, train loss \<loss\>=(\S+)",
            r"wql=wQuantileLoss\[0.9\]\): (\S+)",
            "bare=(?<!val_)loss=%N",
        ],
        presets: &[],
        series: &[
            ("rmse", &["-12.50"]),
            ("quality", &["0.5"]),
            ("wql", &["0.0625"]),
            ("bare", &["0.25"]),
        ],
    },
];
