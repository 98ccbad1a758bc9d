/* GEM as a placement policy inside a serving engine: where the experts of each layer should be, given what was routed
 * lately, where they are now, and what moving one takes. C, no exceptions, no MPI, no threads of its own, no global
 * state but a text for each thread; the same question gives the same bytes on every rank. README.md beside it. */
#ifndef GEM_POLICY_H
#define GEM_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a caller that was built for another number would go wrong. New members are added at the end of structs,
 * whose `size` tells which the caller knows. */
#define GEM_POLICY_ABI 1

/* What functions return. */
#define GEM_POLICY_GOOD 0
#define GEM_POLICY_USAGE 2    /* the call's arguments contradict each other */
#define GEM_POLICY_BAD_DATA 3 /* there is no such file, or a file or map holds something else than it should */
#define GEM_POLICY_SYSTEM 4   /* out of memory, a file that may not be read, an internal error */

/* What is known of the devices. Doesn't change once it is open, so that threads may share it. */
typedef struct gem_policy gem_policy;

int32_t gem_policy_abi(void);
/* "0.2.0" */
const char* gem_policy_version(void);
/* Why this thread's last call failed: one sentence, valid until its next call. */
const char* gem_policy_error(void);

/* Devices as `gem-deploy profile` wrote them to `path`. Sets *policy, which gem_policy_close frees. */
int32_t gem_policy_open(const char* path, gem_policy** policy);
/* Equal devices, of which nothing was measured: each takes tile_s for a tile of tile_tokens rows and expert_s for an
 * expert that gets any. Seconds above 0. */
int32_t gem_policy_open_equal(int32_t device_count, int32_t tile_tokens, double tile_s, double expert_s,
                              gem_policy** policy);
/* A profile's devices as if all were alike: each the mean of those that were measured. device_count may be another. */
int32_t gem_policy_open_mean(const gem_policy* measured, int32_t device_count, gem_policy** policy);
/* Null is allowed. */
void gem_policy_close(gem_policy* policy);

int32_t gem_policy_device_count(const gem_policy* policy);
/* Of device 0 .. device_count - 1, valid while the policy is open: its number for good ("GPU-8a56...") and product
 * name, empty where unknown; null for another device. */
const char* gem_policy_device_uuid(const gem_policy* policy, int32_t device);
const char* gem_policy_device_name(const gem_policy* policy, int32_t device);
/* Hz at which it was measured, the median over its points; NaN where unknown. */
double gem_policy_device_clock(const gem_policy* policy, int32_t device);

typedef struct {
  size_t size;          /* sizeof(gem_policy_question) */
  int32_t step_count;   /* 1 or more */
  int32_t judged_steps; /* so many last steps are not searched on: what is found on the others is judged by them, so
                           that it isn't praised for what it was made from. 0: all steps are used for both */
  int32_t layer_count;
  int32_t expert_count;
  int32_t device_count;     /* ranks of the engine */
  int32_t slots_per_device; /* experts, copies included, that each holds of a layer */
  const uint32_t* counts;   /* [step, layer, expert] tokens */
  const int32_t* present;   /* [layer, slot] expert that each slot holds now; slot s is of device s / slots_per_device.
                               Null: nothing is placed yet and moves cost nothing */
  const int32_t* devices;   /* [rank] its device of the profile; null: rank d has device d */
  const double* slowdowns;  /* [rank] factor of the device's times; null: as measured */
  int32_t max_moves;        /* of a layer; negative: any number */
  int32_t max_total_moves;  /* of all layers together; negative: any number */
  double move_s;            /* seconds that bringing one expert to another device takes, 0 or more */
  double horizon_steps;     /* for which the new placement will serve, above 0 */
  int32_t iterations;       /* of the search beyond the first local optimum; 0: none */
  uint64_t seed;            /* of these */
} gem_policy_question;

typedef struct {
  size_t size;   /* sizeof(gem_policy_answer) */
  int32_t* map;  /* [layer, slot], written: experts that stay on a device keep their slots, none is twice on a
                    device of a layer that changed */
  int32_t moves; /* experts that come to a device which hasn't got them */
  int32_t changed_layers;
  double present_s; /* seconds of a mean judged step, all layers: of the present placement */
  double placed_s;  /* likewise of the answer */
  double moves_s;   /* seconds that its moves take, one after the other */
} gem_policy_answer;

/* The placement that takes the least time over the horizon, moves included: every layer keeps the present one unless
 * what it gains in the judged steps pays for its moves. */
int32_t gem_policy_place(const gem_policy* policy, const gem_policy_question* question, gem_policy_answer* answer);

#ifdef __cplusplus
}
#endif

#endif
