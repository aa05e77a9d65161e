// A Vulkan layer that loses devices. It stands between the loader and the driver, and hands everything on, until there is a file at
// $LAYER_CONTROL: whoever finds it takes it away, and the device that it was asked about is lost, as a driver loses one. With "submit" in
// it that is found out by what is to be sent, with "wait" by who waits for what was sent. A device that is lost stays lost: whatever of
// it can say so, says so; what destroys, maps and frees goes on, as the specification has it.
//
// The few types of Vulkan that are needed stand here, since no headers are installed. Numbers are those of the specification.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int32_t Result;
typedef void (*Function)(void);
typedef Function (*GetProc)(void *handle, const char *name);

enum { SUCCESS = 0, INITIALIZATION_FAILED = -3, DEVICE_LOST = -4 };
enum { LOADER_INSTANCE_CREATE_INFO = 47, LOADER_DEVICE_CREATE_INFO = 48, LINK_INFO = 0 };

// One layer's place in the chain, of an instance and of a device.
struct instance_link { struct instance_link *next; GetProc get_instance; GetProc get_physical; };
struct device_link { struct device_link *next; GetProc get_instance; GetProc get_device; };

// What begins every structure in a chain, and what the loader puts into it.
struct chained { int32_t type; const struct chained *next; };
struct loader_info { int32_t type; const struct chained *next; int32_t function; void *link; };

// What the loader and a layer tell each other first.
struct negotiation { int32_t type; void *next; uint32_t version; GetProc get_instance; GetProc get_device; void *get_physical; };

// Devices in the order in which they were made. A place is not used again: a test makes some hundreds.
#define DEVICES 65536
static struct { void *key; GetProc get; void *device; _Atomic int is_lost; } devices[DEVICES];
static int made;
static void *instance;
static GetProc next_instance;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// A dispatchable object begins with a pointer to the functions of its device: the same for the device and for its queues.
static void *key_of(void *object) { return *(void **)object; }

// The place of the youngest device with this key: the key of one that was destroyed may come back.
static int place_of(void *object) {
    pthread_mutex_lock(&lock);
    int at = made - 1;
    while (at >= 0 && devices[at].key != key_of(object)) at--;
    pthread_mutex_unlock(&lock);
    if (at < 0) abort();
    return at;
}

static Function next_of(int at, const char *name) { return devices[at].get(devices[at].device, name); }

// Whether the file is there and says `what`; then it is gone.
static int is_told(const char *what) {
    const char *path = getenv("LAYER_CONTROL");
    char said[16] = {0};
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, said, sizeof said - 1);
    close(file);
    return length > 0 && strcmp(said, what) == 0 && unlink(path) == 0;
}

// Whether the device of this object is lost, or is from now on. Then nothing runs on it any more.
static int is_lost(int at, const char *what) {
    if (!devices[at].is_lost && is_told(what)) {
        ((Result (*)(void *))next_of(at, "vkDeviceWaitIdle"))(devices[at].device);
        devices[at].is_lost = 1;
    }
    return devices[at].is_lost;
}

#define NEXT(object, name, what) \
    int at = place_of(object); \
    if (is_lost(at, what)) return DEVICE_LOST; \
    return ((Result (*)())next_of(at, #name))

static Result submit(void *queue, uint32_t count, const void *infos, uint64_t fence) {
    NEXT(queue, vkQueueSubmit, "submit")(queue, count, infos, fence);
}
static Result submit_2(void *queue, uint32_t count, const void *infos, uint64_t fence) {
    NEXT(queue, vkQueueSubmit2, "submit")(queue, count, infos, fence);
}
static Result wait_fences(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout) {
    NEXT(device, vkWaitForFences, "wait")(device, count, fences, all, timeout);
}
static Result wait_semaphores(void *device, const void *info, uint64_t timeout) {
    NEXT(device, vkWaitSemaphores, "wait")(device, info, timeout);
}
static Result semaphore_value(void *device, uint64_t semaphore, uint64_t *value) {
    NEXT(device, vkGetSemaphoreCounterValue, "")(device, semaphore, value);
}
static Result fence_status(void *device, uint64_t fence) { NEXT(device, vkGetFenceStatus, "")(device, fence); }
static Result queue_idle(void *queue) { NEXT(queue, vkQueueWaitIdle, "")(queue); }
static Result device_idle(void *device) { NEXT(device, vkDeviceWaitIdle, "")(device); }

// What the loader put into this chain for us.
static struct loader_info *info_of(const struct chained *chain, int32_t type) {
    for (const struct chained *at = chain; at != NULL; at = at->next) {
        struct loader_info *info = (struct loader_info *)at;
        if (at->type == type && info->function == LINK_INFO) return info;
    }
    return NULL;
}

static Result create_instance(const struct chained *create, const void *allocator, void **made_instance) {
    struct loader_info *info = info_of(create->next, LOADER_INSTANCE_CREATE_INFO);
    if (info == NULL) return INITIALIZATION_FAILED;
    struct instance_link *link = info->link;
    GetProc get = link->get_instance;
    info->link = link->next;
    Result result = ((Result (*)(const void *, const void *, void **))get(NULL, "vkCreateInstance"))(create, allocator, made_instance);
    if (result == SUCCESS) {
        pthread_mutex_lock(&lock);
        (instance = *made_instance), (next_instance = get);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

static Result create_device(void *physical, const struct chained *create, const void *allocator, void **device) {
    struct loader_info *info = info_of(create->next, LOADER_DEVICE_CREATE_INFO);
    if (info == NULL) return INITIALIZATION_FAILED;
    struct device_link *link = info->link;
    GetProc get = link->get_device;
    Function next = link->get_instance(instance, "vkCreateDevice");
    info->link = link->next;
    Result result = ((Result (*)(void *, const void *, const void *, void **))next)(physical, create, allocator, device);
    if (result != SUCCESS) return result;
    pthread_mutex_lock(&lock);
    if (made == DEVICES) abort();
    devices[made].key = key_of(*device);
    devices[made].get = get;
    devices[made].device = *device;
    made++;
    pthread_mutex_unlock(&lock);
    return result;
}

static Function get_device(void *device, const char *name);
static Function get_instance(void *its_instance, const char *name);

static const struct { const char *name; Function function; } ours[] = {
    {"vkGetDeviceProcAddr", (Function)get_device},
    {"vkQueueSubmit", (Function)submit},
    {"vkQueueSubmit2", (Function)submit_2},
    {"vkQueueSubmit2KHR", (Function)submit_2},
    {"vkWaitForFences", (Function)wait_fences},
    {"vkWaitSemaphores", (Function)wait_semaphores},
    {"vkWaitSemaphoresKHR", (Function)wait_semaphores},
    {"vkGetSemaphoreCounterValue", (Function)semaphore_value},
    {"vkGetSemaphoreCounterValueKHR", (Function)semaphore_value},
    {"vkGetFenceStatus", (Function)fence_status},
    {"vkQueueWaitIdle", (Function)queue_idle},
    {"vkDeviceWaitIdle", (Function)device_idle},
    // These are asked of an instance alone.
    {"vkGetInstanceProcAddr", (Function)get_instance},
    {"vkCreateInstance", (Function)create_instance},
    {"vkCreateDevice", (Function)create_device},
};

static Function found(const char *name) {
    for (size_t at = 0; at < sizeof ours / sizeof *ours; at++)
        if (strcmp(ours[at].name, name) == 0) return ours[at].function;
    return NULL;
}

static Function get_device(void *device, const char *name) {
    int at = place_of(device);
    Function next = next_of(at, name);
    Function own = found(name);
    // What the driver does not have nobody has.
    return next != NULL && own != NULL ? own : next;
}

static Function get_instance(void *its_instance, const char *name) {
    Function own = found(name);
    return own != NULL || next_instance == NULL ? own : next_instance(its_instance, name);
}

Result vkNegotiateLoaderLayerInterfaceVersion(struct negotiation *said) {
    if (said->version < 2) return INITIALIZATION_FAILED;
    said->version = 2;
    said->get_instance = get_instance;
    said->get_device = get_device;
    said->get_physical = NULL;
    return SUCCESS;
}
