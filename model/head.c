/* head.c - see head.h. */
#include "model/head.h"

struct str method_text(enum method method)
{
    static const char *const names[METHOD_COUNT] = {
        [METHOD_GET] = "GET",         [METHOD_HEAD] = "HEAD",
        [METHOD_POST] = "POST",       [METHOD_PUT] = "PUT",
        [METHOD_DELETE] = "DELETE",   [METHOD_PATCH] = "PATCH",
        [METHOD_OPTIONS] = "OPTIONS",
    };

    return str_of(names[method]);
}
