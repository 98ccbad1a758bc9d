#include "interchange/serving_devices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/text.hpp"

namespace gem {
namespace {

bool is_emulated(const DeviceDescription& device) {
  return device.emulated_slowdown != 1.0 || device.name.find("(emulated") != std::string::npos;
}

/// Positions of a host's devices, ascending.
struct HostDevices {
  std::string name;
  std::vector<std::size_t> devices;
};

std::vector<HostDevices> hosts_of(const Mapping& mapping) {
  std::vector<HostDevices> hosts;
  for (std::size_t d = 0; d < mapping.devices.size(); ++d) {
    const std::string& name = mapping.devices[d].hostname;
    auto host = std::ranges::find(hosts, name, &HostDevices::name);
    if (host == hosts.end()) host = hosts.insert(hosts.end(), {name, {}});
    host->devices.push_back(d);
  }
  return hosts;
}

std::string selection_of(const Mapping& mapping, const HostDevices& host) {
  std::vector<std::string> uuids;
  for (const std::size_t d : host.devices) uuids.push_back(mapping.devices[d].uuid);
  return "CUDA_VISIBLE_DEVICES=" + join(uuids, ",");
}

// Shares of one GPU have one number.
bool have_numbers(const Mapping& mapping) {
  std::set<std::string> numbers;
  return std::ranges::all_of(mapping.devices, [&](const DeviceDescription& device) {
    return !device.uuid.empty() && numbers.insert(device.uuid).second;
  });
}

// Empty for GPUs as they are.
std::string warning_of(const Mapping& mapping) {
  std::string text;
  if (mapping.device_kind != "cuda" && mapping.device_kind != "command")
    text += wrap(fmt::format(
                "WARNING: this mapping was made for {} of kind '{}', not for GPUs. On other devices it is arbitrary: "
                "measure the serving GPUs with gem-profile, and map again.",
                counted(mapping.devices.size(), "device"), mapping.device_kind)) +
            "\n";
  if (std::ranges::any_of(mapping.devices, is_emulated))
    text += wrap(
                "WARNING: these devices were made uneven on purpose (emulated). Served on devices as they are, the "
                "mapping loads the wrong ones.") +
            "\n";
  return text;
}

}  // namespace

std::string launch_lines(const Mapping& mapping) {
  if (mapping.devices.empty()) return "The mapping does not say which devices it was made for: device d is rank d.\n";
  std::string text = fmt::format("Made for {}, device d is rank d.\n",
                                 counted(mapping.devices.size(), mapping.device_kind + " device"));
  text += warning_of(mapping);
  if (mapping.device_kind != "cuda" && mapping.device_kind != "command") return text;
  if (!have_numbers(mapping)) return text + "The devices have no numbers of their own to start the engine by.\n";
  const std::vector<HostDevices> hosts = hosts_of(mapping);
  if (hosts.size() == 1)
    return text + fmt::format("Start the engine on {} with\n    {}\n", hosts[0].name, selection_of(mapping, hosts[0]));
  text += "Start the engine with these GPUs on each host:\n";
  std::vector<std::string> names;
  for (const HostDevices& host : hosts) {
    names.push_back(host.name);
    text += fmt::format("    {}: {}\n", host.name, selection_of(mapping, host));
  }
  text += "and the ranks in this order (a rank file of Open MPI, --rankfile FILE):\n";
  std::vector<std::size_t> slots(hosts.size(), 0);
  for (std::size_t d = 0; d < mapping.devices.size(); ++d) {
    const auto host = std::ranges::find(hosts, mapping.devices[d].hostname, &HostDevices::name);
    text +=
        fmt::format("    rank {}={} slot={}\n", d, host->name, slots[static_cast<std::size_t>(host - hosts.begin())]++);
  }
  return text +
         fmt::format(
             "With Slurm, where a host's ranks follow each other:\n    srun --nodelist={} --distribution=block ...\n",
             join(names, ","));
}

std::vector<ServingGpu> parse_gpu_list(std::string_view text) {
  std::vector<ServingGpu> gpus;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t name = line.find(": "), number = line.find(" (UUID: ");
    if (!line.starts_with("GPU ") || name == std::string::npos || number == std::string::npos) continue;
    const std::size_t begin = number + 8;
    gpus.push_back({line.substr(begin, line.find(')', begin) - begin), line.substr(name + 2, number - name - 2)});
  }
  return gpus;
}

std::vector<ServingGpu> visible_gpus(const std::vector<ServingGpu>& all, std::optional<std::string_view> selection) {
  if (!selection) return all;
  std::vector<ServingGpu> visible;
  for (const std::string& part : split(*selection, ',')) {
    const std::string entry = trim(part);
    std::size_t index = all.size();
    const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), index);
    if (error != std::errc() || end != entry.data() + entry.size()) {
      const auto found = std::ranges::find_if(
          all, [&](const ServingGpu& gpu) { return !entry.empty() && gpu.uuid.starts_with(entry); });
      index = static_cast<std::size_t>(found - all.begin());
    }
    if (index >= all.size()) break;
    visible.push_back(all[index]);
  }
  return visible;
}

ServingCheck check_serving_host(const Mapping& mapping, const std::string& host, const std::vector<ServingGpu>& gpus) {
  ServingCheck check;
  check.text = warning_of(mapping);
  const std::vector<HostDevices> hosts = hosts_of(mapping);
  const auto here = std::ranges::find(hosts, host, &HostDevices::name);
  if (here == hosts.end()) {
    std::vector<std::string> names;
    for (const HostDevices& other : hosts) names.push_back(other.name);
    check.text += wrap(fmt::format("MISMATCH: the mapping has no device on {}, but on {}; measure this host's GPUs and "
                                   "map again, or serve there",
                                   host, join(names))) +
                  "\n";
    return check;
  }
  bool same = true;
  for (std::size_t i = 0; i < here->devices.size(); ++i) {
    const std::size_t d = here->devices[i];
    const std::string found = i < gpus.size() ? gpus[i].uuid : "none";
    const bool fits = found == mapping.devices[d].uuid;
    check.ranks.push_back({d, mapping.devices[d].uuid, found});
    same = same && fits;
    check.text += fmt::format("rank {}: {}{}\n", d, mapping.devices[d].uuid,
                              fits ? "" : ", but GPU " + std::to_string(i) + " here is " + found);
  }
  check.matches = same && warning_of(mapping).empty();
  if (check.matches) {
    check.text += fmt::format("MATCH: {} on {} are those of the mapping, in its order\n",
                              counted(here->devices.size(), "GPU"), host);
  } else if (same) {
    check.text += "MISMATCH: the devices are the mapping's, but they are not as they were measured\n";
  } else {
    const bool all_here = std::ranges::all_of(here->devices, [&](std::size_t d) {
      return std::ranges::find(gpus, mapping.devices[d].uuid, &ServingGpu::uuid) != gpus.end();
    });
    check.text += all_here && have_numbers(mapping)
                      ? fmt::format("MISMATCH: they are in another order; start the engine with\n    {}\n",
                                    selection_of(mapping, *here))
                      : "MISMATCH: these are other devices; measure them with gem-profile and map again, or make\n"
                        "those of the mapping visible (CUDA_VISIBLE_DEVICES)\n";
  }
  return check;
}

}  // namespace gem
