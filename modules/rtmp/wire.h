/*
 * The symbols of nginx-rtmp and of the guard that the hub module uses.  All are
 * weak, so that ngx_hub_module.c can name the module that is not loaded.
 */

#ifndef DUOLU_RTMP_WIRE_H
#define DUOLU_RTMP_WIRE_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_rtmp.h"
#include "ngx_rtmp_cmd_module.h"
#include "ngx_rtmp_streams.h"
#include "ngx_rtmp_guard.h"

extern ngx_module_t  ngx_rtmp_module;    /* in no header of nginx-rtmp */

#pragma weak ngx_rtmp_module
#pragma weak ngx_rtmp_core_module
#pragma weak ngx_rtmp_publish
#pragma weak ngx_rtmp_play
#pragma weak ngx_rtmp_pause
#pragma weak ngx_rtmp_seek
#pragma weak ngx_rtmp_close_stream
#pragma weak ngx_rtmp_finalize_session
#pragma weak ngx_rtmp_receive_amf
#pragma weak ngx_rtmp_send_status
#pragma weak ngx_rtmp_send_stream_begin
#pragma weak ngx_rtmp_send_stream_eof
#pragma weak ngx_rtmp_create_chunk_size
#pragma weak ngx_rtmp_create_stream_begin
#pragma weak ngx_rtmp_create_status
#pragma weak ngx_rtmp_create_sample_access
#pragma weak ngx_rtmp_free_shared_chain
#pragma weak ngx_rtmp_update_bandwidth
#pragma weak ngx_rtmp_bw_out
#pragma weak ngx_rtmp_send_ping_request
#pragma weak ngx_rtmp_guard_refusal

#endif
