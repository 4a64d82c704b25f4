/* fault.c - see fault.h. */
#include "translate/fault.h"

#include "base/json.h"

/* Where the guest's own status begins.  What stands before it are the host's
 * words with the caller's path in them: not ours to match on. */
#define GUEST STR("rpc error: code = ")

struct sign {
    const char *text;
    enum err err;
};

/* In the order in which they are looked for.  Source: the sandbox server's
 * texts as recorded (tests/data). */
static const struct sign signs[] = {
    {"code = Canceled", E_CANCELED},
    {"code = DeadlineExceeded", E_DEADLINE},
    {" has no stream path", E_SANDBOX_GONE},
    {"concurrent exec-stream limit", E_SLOTS},
    {"decoded message length too large", E_TOO_BIG},
    {"code = NotFound", E_NOT_FOUND},
    {"code = PermissionDenied", E_PERMISSION},
    {"code = InvalidArgument", E_INVALID},
    {"code = ResourceExhausted", E_EXHAUSTED},
    {"code = Unimplemented", E_UNIMPLEMENTED},
    {"code = Unavailable", E_BACKEND_DOWN},
    {"NUL byte", E_INVALID},
    {"nul byte", E_INVALID},
    {"exceeds the ceiling", E_INVALID},
};

static const struct {
    int number; /* of Linux, whatever machine this is built on */
    enum err err;
} numbers[] = {
    {1, E_PERMISSION},      /* EPERM */
    {2, E_NOT_FOUND},       /* ENOENT */
    {7, E_INVALID},         /* E2BIG */
    {13, E_PERMISSION},     /* EACCES */
    {16, E_PRECONDITION},   /* EBUSY */
    {17, E_ALREADY_EXISTS}, /* EEXIST */
    {20, E_INVALID},        /* ENOTDIR */
    {21, E_INVALID},        /* EISDIR */
    {28, E_NO_SPACE},       /* ENOSPC */
    {30, E_PERMISSION},     /* EROFS */
    {36, E_INVALID},        /* ENAMETOOLONG */
    {40, E_PRECONDITION},   /* ELOOP */
};

/* Codes as Connect and the REST answers spell them. */
static const struct sign codes[] = {
    {"canceled", E_CANCELED},
    {"deadline_exceeded", E_DEADLINE},
    {"invalid_argument", E_INVALID},
    {"not_found", E_NOT_FOUND},
    {"already_exists", E_ALREADY_EXISTS},
    {"permission_denied", E_PERMISSION},
    {"resource_exhausted", E_EXHAUSTED},
    {"failed_precondition", E_PRECONDITION},
    {"unimplemented", E_UNIMPLEMENTED},
    {"unavailable", E_BACKEND_DOWN},
};

static bool has(struct str text, const char *what)
{
    return str_find_str(text, str_of(what)) < text.n;
}

/* The part from the last status of the guest on; all without one. */
static struct str guest_part(struct str message)
{
    struct str rest = message;
    size_t at;

    while ((at = str_find_str(rest, GUEST)) < rest.n) {
        message = str_after(rest, at);
        rest = str_after(message, GUEST.n);
    }
    return message;
}

int fault_errno(struct str message)
{
    const struct str mark = STR("(os error ");
    struct str rest = message;
    int number = 0;
    size_t at;

    /* The last one: names in the text come before it. */
    while ((at = str_find_str(rest, mark)) < rest.n) {
        struct str digits;
        uint64_t value;

        rest = str_after(rest, at + mark.n);
        digits = str_from(rest.p, str_find(rest, ')'));
        if (digits.n < rest.n && str_u64(digits, 4095, &value))
            number = (int)value;
    }
    return number;
}

static enum err by_code(struct str code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (str_eq(code, str_of(codes[i].text)))
            return codes[i].err;
    return E_INTERNAL;
}

enum err fault_classify(struct str code, struct str message)
{
    struct str part = guest_part(message);
    int number = fault_errno(part);

    for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
        if (has(part, signs[i].text))
            return signs[i].err;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (numbers[i].number == number)
            return numbers[i].err;
    return by_code(code);
}

enum err fault_of_answer(int status, struct str body)
{
    const json_t *error;
    enum err err;
    json_t *json;

    if (status == 200)
        return E_OK;
    if (json_read(body, &json_limits_rpc, &json))
        return E_BACKEND_GARBAGE;
    error = json_member(json, "error");
    if (!error)
        error = json;
    if (json_is_object(error) && json_str(error, "code").p)
        err =
            fault_classify(json_str(error, "code"), json_str(error, "message"));
    else
        err = E_BACKEND_GARBAGE;
    json_decref(json);
    return err;
}

/* Connect's codes and the status of a unary answer.  Source: Connect
 * protocol, "Error codes". */
enum word {
    CANCELED,
    UNKNOWN,
    INVALID_ARGUMENT,
    DEADLINE_EXCEEDED,
    NOT_FOUND,
    ALREADY_EXISTS,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    FAILED_PRECONDITION,
    UNIMPLEMENTED,
    INTERNAL,
    UNAVAILABLE,
    UNAUTHENTICATED
};

static const struct {
    const char *name;
    int status;
} words[] = {
    [CANCELED] = {"canceled", 499},
    [UNKNOWN] = {"unknown", 500},
    [INVALID_ARGUMENT] = {"invalid_argument", 400},
    [DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
    [NOT_FOUND] = {"not_found", 404},
    [ALREADY_EXISTS] = {"already_exists", 409},
    [PERMISSION_DENIED] = {"permission_denied", 403},
    [RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [FAILED_PRECONDITION] = {"failed_precondition", 400},
    [UNIMPLEMENTED] = {"unimplemented", 501},
    [INTERNAL] = {"internal", 500},
    [UNAVAILABLE] = {"unavailable", 503},
    [UNAUTHENTICATED] = {"unauthenticated", 401},
};

static const struct {
    enum err err;
    enum word word;
} spoken[] = {
    {E_CANCELED, CANCELED},
    {E_GONE_CLIENT, CANCELED},
    {E_UNKNOWN, UNKNOWN},
    {E_BAD_REQUEST, INVALID_ARGUMENT},
    {E_BAD_FIELD, INVALID_ARGUMENT},
    {E_BAD_JSON, INVALID_ARGUMENT},
    {E_NOT_KEPT, INVALID_ARGUMENT},
    {E_RANGE, INVALID_ARGUMENT},
    {E_INVALID, INVALID_ARGUMENT},
    {E_VERSION, INVALID_ARGUMENT},
    {E_DEADLINE, DEADLINE_EXCEEDED},
    {E_UPSTREAM_DEADLINE, DEADLINE_EXCEEDED},
    {E_NOT_FOUND, NOT_FOUND},
    {E_ALREADY_EXISTS, ALREADY_EXISTS},
    {E_PERMISSION, PERMISSION_DENIED},
    {E_FORBIDDEN, PERMISSION_DENIED},
    {E_TRAFFIC_TOKEN, PERMISSION_DENIED},
    {E_UNAUTHENTICATED, UNAUTHENTICATED},
    {E_TOKEN_WRONG, UNAUTHENTICATED},
    {E_KEY_MISSING, UNAUTHENTICATED},
    {E_KEY_UNKNOWN, UNAUTHENTICATED},
    {E_EXHAUSTED, RESOURCE_EXHAUSTED},
    {E_SLOTS, RESOURCE_EXHAUSTED},
    {E_TOO_BIG, RESOURCE_EXHAUSTED},
    {E_RATE_LIMITED, RESOURCE_EXHAUSTED},
    {E_QUOTA, RESOURCE_EXHAUSTED},
    {E_OVERLOADED, RESOURCE_EXHAUSTED},
    {E_BACKEND_BUSY, RESOURCE_EXHAUSTED},
    {E_PRECONDITION, FAILED_PRECONDITION},
    {E_UNIMPLEMENTED, UNIMPLEMENTED},
    {E_METHOD_UNKNOWN, UNIMPLEMENTED},
    {E_UNAVAILABLE, UNAVAILABLE},
    {E_SANDBOX_GONE, UNAVAILABLE},
};

static enum word word_of(enum err err)
{
    for (size_t i = 0; i < sizeof(spoken) / sizeof(*spoken); i++)
        if (spoken[i].err == err)
            return spoken[i].word;
    return INTERNAL;
}

const char *fault_connect_code(enum err err)
{
    return words[word_of(err)].name;
}

int fault_connect_status(enum err err)
{
    return words[word_of(err)].status;
}
