%% @doc The log file: in the folder RUNNER_LOG_DIR, rotated by size. A folder that refuses is no reason not to serve.
-module(erlmcp_log).

-export([start/0, stop/0, path/0]).

-define(ID, erlmcp_file).

start() ->
    case path() of
        none -> ok;
        File -> start(File)
    end.

start(File) ->
    {ok, Bytes} = application:get_env(erlmcp, log_bytes),
    {ok, Files} = application:get_env(erlmcp, log_files),
    Added = logger:add_handler(?ID, logger_std_h, #{
        config => #{file => File, max_no_bytes => Bytes, max_no_files => Files},
        formatter => {logger_formatter, #{single_line => true, time_offset => "Z"}}
    }),
    case Added of
        ok -> ok;
        {error, Reason} -> logger:error("cannot log to ~ts: ~tp", [File, Reason])
    end.

stop() ->
    logger:remove_handler(?ID).

path() ->
    case application:get_env(erlmcp, log_file) of
        {ok, none} -> none;
        {ok, Name} -> filename:join(os:getenv("RUNNER_LOG_DIR", "log"), Name)
    end.
