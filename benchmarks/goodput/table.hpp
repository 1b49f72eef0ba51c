// Table: scenarios in rows, contenders in columns; and its CSV file.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <goodput/contenders.hpp>
#include <goodput/scenario.hpp>
#include <measure.hpp>
#include <string>
#include <utility>
#include <vector>

namespace goodput {

class Table {
public:
    struct Row {
        Scenario scenario;
        std::string load = {};  // of the bound, where that is given
        std::string note = {};  // what else there is to say
    };

    // `metrics`: what each cell has figures for.
    Table(const bench::Settings& settings, const std::string& file, const std::string& title,
          const std::vector<Contender>& contenders, std::vector<bench::Metric> metrics)
        : metrics_(std::move(metrics)) {
        fmt::print("\n{}\n", title);
        for (const Contender& contender : contenders) {
            columns_.push_back(contender.name);
            fmt::print("{:>16}", contender.name);
        }
        fmt::print("\n");
        if (settings.results.empty()) return;
        csv_.open(settings.results / (file + ".csv"));
        csv_ << "profile,slots,timeouts,arrivals,callers,noise_percent,stalls,load,"
                "contender,metric,unit,value\n";
    }

    // `values`: of each contender, each metric.
    void row(const Row& row, const std::vector<std::vector<double>>& values) {
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            std::string text;
            for (const double value : values[i]) {
                text += fmt::format("{}{:.2f}", text.empty() ? "" : "/", value);
            }
            fmt::print("{:>16}", text);
        }
        fmt::print("  {}", name_of(row.scenario));
        if (!row.load.empty()) fmt::print(", at {} of the bound", row.load);
        if (!row.note.empty()) fmt::print(" ({})", row.note);
        fmt::print("\n");
        std::fflush(stdout);
        write(row, values);
    }

private:
    void write(const Row& row, const std::vector<std::vector<double>>& values) {
        if (!csv_.is_open()) return;
        const Scenario& scenario = row.scenario;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            for (std::size_t metric = 0; metric < values[i].size(); ++metric) {
                csv_ << fmt::format(
                    "{},{},{},\"{}\",{},{:.0f},{},{},\"{}\",{},{},{:.3f}\n", scenario.profile.name,
                    scenario.slots, scenario.timeouts ? "yes" : "no", name_of(scenario.load),
                    scenario.callers, 100 * scenario.noise, scenario.stalls ? "yes" : "no",
                    row.load, columns_[i], metrics_[metric].name, metrics_[metric].unit,
                    values[i][metric]);
            }
        }
        csv_.flush();
    }

    std::vector<bench::Metric> metrics_;
    std::vector<std::string> columns_;
    std::ofstream csv_;
};

}  // namespace goodput
