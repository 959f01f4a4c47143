import type { Kind } from './kinds.ts'

const fields = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/))

/**
 * The fields of Envoy 1.40's messages of which it is known what they do: a rule judges them, or they take nothing from the
 * decision. What is not here is a finding: a field that is newer than this list, one in another spelling than Envoy's
 * own dump has, or one that was left out because nothing can be said for it.
 */
export const knownFields: Readonly<Partial<Record<Kind, ReadonlySet<string>>>> = {
  bootstrap: fields(`
    node node_context_params static_resources dynamic_resources cluster_manager hds_config flags_path
    stats_sinks deferred_stat_options stats_config stats_flush_interval stats_flush_on_admin
    stats_eviction_interval watchdog watchdogs tracing layered_runtime admin overload_manager
    enable_dispatcher_stats header_prefix stats_server_version_override use_tcp_for_dns_lookups
    dns_resolution_config typed_dns_resolver_config bootstrap_extensions fatal_actions config_sources
    default_config_source default_socket_interface certificate_provider_instances inline_headers
    perf_tracing_file_path default_regex_engine xds_delegate_extension xds_config_tracker_extension
    listener_manager application_log_config grpc_async_client_manager_config memory_allocator_manager
    enable_worker_cpu_affinity`),
  staticResources: fields('listeners clusters secrets'),
  admin: fields(`
    access_log access_log_path profile_path address socket_options ignore_global_conn_limit
    allow_paths`),
  listener: fields(`
    name address additional_addresses stat_prefix stats_matcher filter_chains filter_chain_matcher
    use_original_dst default_filter_chain per_connection_buffer_limit_bytes
    per_connection_buffer_high_watermark_timeout metadata drain_type listener_filters
    listener_filters_timeout continue_on_listener_filters_timeout transparent freebind socket_options
    tcp_fast_open_queue_length traffic_direction udp_listener_config connection_balance_config
    reuse_port enable_reuse_port access_log tcp_backlog_size
    max_connections_to_accept_per_socket_event bind_to_port internal_listener enable_mptcp
    ignore_global_conn_limit bypass_overload_manager tcp_keepalive`),
  listenerFilter: fields('name typed_config filter_disabled'),
  filterChain: fields(`
    filter_chain_match filters metadata transport_socket
    transport_socket_connect_timeout name`),
  networkFilter: fields('name typed_config'),
  downstreamTls: fields(`
    common_tls_context require_client_certificate require_sni session_ticket_keys
    session_ticket_keys_sds_secret_config disable_stateless_session_resumption
    disable_stateful_session_resumption session_timeout ocsp_staple_policy
    full_scan_certs_on_sni_mismatch prefer_client_ciphers`),
  commonTls: fields(`
    tls_params tls_certificates tls_certificate_sds_secret_configs tls_certificate_provider_instance
    custom_tls_certificate_selector tls_certificate_certificate_provider
    tls_certificate_certificate_provider_instance validation_context
    validation_context_sds_secret_config combined_validation_context alpn_protocols key_log`),
  combinedValidation: fields('default_validation_context validation_context_sds_secret_config'),
  validationContext: fields(`
    trusted_ca system_root_certs watched_directory verify_certificate_spki verify_certificate_hash
    match_typed_subject_alt_names match_subject_alt_names require_signed_certificate_timestamp crl
    allow_expired_certificate trust_chain_verification custom_validator_config
    only_verify_leaf_cert_crl max_verify_depth suppress_client_ca_list`),
  tlsParameters: fields(`
    tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves
    signature_algorithms compliance_policies`),
  spiffeValidator: fields('trust_domains trust_bundles'),
  httpConnectionManager: fields(`
    codec_type stat_prefix rds route_config scoped_routes http_filters add_user_agent tracing
    common_http_protocol_options http1_safe_max_connection_duration http_protocol_options
    http2_protocol_options http3_protocol_options server_name server_header_transformation
    scheme_header_transformation max_request_headers_kb stream_idle_timeout stream_flush_timeout
    request_timeout request_headers_timeout drain_timeout drain_timeout_jitter delayed_close_timeout
    access_log access_log_flush_interval flush_access_log_on_new_request access_log_options
    use_remote_address xff_num_trusted_hops original_ip_detection_extensions
    early_header_mutation_extensions internal_address_config skip_xff_append via generate_request_id
    preserve_external_request_id always_set_request_id_in_response forward_client_cert_details
    set_current_client_cert_details forward_client_cert_matcher proxy_100_continue
    represent_ipv4_remote_address_as_ipv4_mapped_ipv6 upgrade_configs normalize_path merge_slashes
    path_with_escaped_slashes_action request_id_extension local_reply_config strip_matching_host_port
    strip_any_host_port stream_error_on_invalid_http_message strip_trailing_host_dot
    proxy_status_config append_x_forwarded_port append_local_overload
    add_proxy_protocol_connection_state forward_proto_config record_route_resolution_stats`),
  httpFilter: fields('name typed_config config_discovery is_optional disabled'),
  httpOptions: fields(`
    idle_timeout max_connection_duration max_connection_duration_jitter max_headers_count
    max_response_headers_kb max_stream_duration headers_with_underscores_action
    max_requests_per_connection`),
  http1Options: fields(`
    allow_absolute_url accept_http_10 default_host_for_http_10 header_key_format enable_trailers
    allow_chunked_length override_stream_error_on_invalid_http_message send_fully_qualified_url
    use_balsa_parser allow_custom_methods ignore_http_11_upgrade`),
  http2Options: fields(`
    hpack_table_size max_concurrent_streams initial_stream_window_size initial_connection_window_size
    allow_connect allow_metadata max_outbound_frames max_outbound_control_frames
    max_consecutive_inbound_frames_with_empty_payload max_inbound_priority_frames_per_stream
    max_inbound_window_update_frames_per_data_frame_sent stream_error_on_invalid_http_messaging
    override_stream_error_on_invalid_http_message custom_settings_parameters connection_keepalive
    use_oghttp2_codec max_metadata_size enable_huffman_encoding max_header_field_size_kb
    disallow_obs_text stream_reset_burst stream_reset_rate`),
  http3Options: fields(`
    quic_protocol_options override_stream_error_on_invalid_http_message allow_extended_connect
    allow_metadata disable_qpack disable_connection_flow_control_for_streams disallow_obs_text`),
  extAuthz: fields(`
    grpc_service http_service transport_api_version failure_mode_allow failure_mode_allow_header_add
    with_request_body clear_route_cache clear_route_cache_headers status_on_error validate_mutations
    metadata_context_namespaces typed_metadata_context_namespaces route_metadata_context_namespaces
    route_typed_metadata_context_namespaces filter_enabled filter_enabled_metadata deny_at_disable
    include_peer_certificate stat_prefix bootstrap_metadata_labels_key allowed_headers
    disallowed_headers include_tls_session charge_cluster_response_stats encode_raw_headers
    decoder_header_mutation_rules enable_dynamic_metadata_ingestion filter_metadata
    emit_filter_state_stats max_denied_response_body_bytes enforce_response_header_limits shadow_mode
    emit_client_span`),
  extAuthzPerRoute: fields('disabled check_settings'),
  checkSettings: fields(`
    context_extensions disable_request_body_buffering with_request_body grpc_service http_service
    emit_client_span`),
  extProc: fields(`
    grpc_service http_service failure_mode_allow processing_mode request_attributes
    response_attributes message_timeout stat_prefix mutation_rules max_message_timeout forward_rules
    filter_metadata allow_mode_override disable_immediate_response metadata_options observability_mode
    disable_clear_route_cache route_cache_action deferred_close_timeout
    send_body_without_waiting_for_header_response allowed_override_modes processing_request_modifier
    on_processing_response status_on_error allow_content_length_header emit_client_span`),
  extProcPerRoute: fields('disabled overrides'),
  extProcOverrides: fields(`
    processing_mode request_attributes response_attributes grpc_service metadata_options
    grpc_initial_metadata failure_mode_allow processing_request_modifier emit_client_span`),
  processingMode: fields(`
    request_header_mode response_header_mode request_body_mode response_body_mode request_trailer_mode
    response_trailer_mode`),
  jwtAuthn: fields(`
    providers rules filter_state_rules bypass_cors_preflight requirement_map strip_failure_response
    stat_prefix`),
  jwtProvider: fields(`
    issuer audiences subjects require_expiration max_lifetime remote_jwks local_jwks forward
    from_headers from_params from_cookies forward_payload_header pad_forward_payload_header
    payload_in_metadata normalize_payload_in_metadata header_in_metadata failed_status_in_metadata
    clock_skew_seconds jwt_cache_config claim_to_headers clear_route_cache`),
  jwtPerRoute: fields('disabled requirement_name'),
  filterConfig: fields('config is_optional disabled'),
  routeConfiguration: fields(`
    name virtual_hosts vhds internal_only_headers response_headers_to_add response_headers_to_remove
    request_headers_to_add request_headers_to_remove most_specific_header_mutations_wins
    validate_clusters max_direct_response_body_size_bytes cluster_specifier_plugins
    request_mirror_policies ignore_port_in_host_matching ignore_path_parameters_in_path_matching
    typed_per_filter_config metadata`),
  virtualHost: fields(`
    name domains routes matcher require_tls virtual_clusters rate_limits request_headers_to_add
    request_headers_to_remove response_headers_to_add response_headers_to_remove cors
    typed_per_filter_config include_request_attempt_count include_attempt_count_in_response
    retry_policy retry_policy_typed_config hedge_policy include_is_timeout_retry_header
    per_request_buffer_limit_bytes request_body_buffer_limit request_mirror_policies metadata`),
  route: fields(`
    name match route redirect direct_response non_forwarding_action metadata decorator
    typed_per_filter_config request_headers_to_add request_headers_to_remove response_headers_to_add
    response_headers_to_remove tracing per_request_buffer_limit_bytes stat_prefix
    request_body_buffer_limit`),
  routeAction: fields(`
    cluster cluster_header weighted_clusters cluster_not_found_response_code metadata_match
    prefix_rewrite regex_rewrite path_rewrite_policy path_rewrite host_rewrite_literal
    auto_host_rewrite host_rewrite_header host_rewrite_path_regex host_rewrite append_x_forwarded_host
    timeout idle_timeout flush_timeout early_data_policy retry_policy retry_policy_typed_config
    request_mirror_policies priority rate_limits include_vh_rate_limits hash_policy cors
    max_grpc_timeout grpc_timeout_offset upgrade_configs internal_redirect_policy
    internal_redirect_action max_internal_redirects hedge_policy max_stream_duration`),
  weightedClusters: fields('clusters total_weight runtime_key_prefix header_name use_hash_policy'),
  clusterWeight: fields(`
    name cluster_header weight metadata_match request_headers_to_add request_headers_to_remove
    response_headers_to_add response_headers_to_remove typed_per_filter_config host_rewrite_literal`),
}
